//! What a report says. These types are the format of `report.json`; their documentation is its
//! schema's.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Course, Outcome};
use crate::check::{Severity, Verdict};
use crate::event::{Gate, Impact, Name};
use crate::units::Period;

/// The version of the report's format. Fields may be added within a version.
pub const REPORT_FORMAT: u32 = 1;

/// A finished run: what was done, what was seen, and the verdict. Times in seconds are relative to
/// time zero, the moment at which the steady state was confirmed (or the start of the run, if it
/// never was).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this format.
    pub report_format: u32,
    /// Version of chaosproxy that ran the scenario.
    pub chaosproxy: String,
    /// Unique id of the run.
    pub run: uuid::Uuid,
    /// Wall-clock time at which the run began.
    pub started_at: jiff::Timestamp,
    /// Length of the whole run, set-up and settling included.
    pub duration_s: f64,
    /// From the beginning of the run to time zero; absent if the schedule never began.
    pub time_zero_after_s: Option<f64>,
    /// What was run.
    pub scenario: ScenarioRecord,
    /// The seed of every die.
    pub seed: u64,
    /// Machine, kernel, cores: what a figure depends on.
    pub environment: BTreeMap<String, String>,
    /// What the run came to.
    pub outcome: Outcome,
    /// The exit code of the run.
    pub exit_code: u8,
    /// Why the run did not go to its end, if it did not.
    pub reason: Option<String>,
    /// The verdict of each check, in the order of the scenario.
    pub checks: Vec<CheckRecord>,
    /// The faults, in the order of the scenario.
    pub faults: Vec<FaultRecord>,
    /// The swept faults among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweeps: Vec<SweepRecord>,
    /// The judgements of the steady state.
    pub steady_state: Vec<SteadyStateRecord>,
    /// What each workload and probe saw.
    pub sources: Vec<SourceRecord>,
    /// What went through each proxy.
    pub proxies: Vec<ProxyRecord>,
    /// Facts that limit what the figures say.
    pub notes: Vec<String>,
    /// The command that judges the run again from its journal, to be run in the report's folder.
    pub judge_again: String,
    /// How it went over time, for the plots; the journal holds it for everybody else.
    #[serde(skip)]
    pub course: Course,
}

/// What was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioRecord {
    /// Path of the file, as given.
    pub path: String,
    /// SHA-256 of its text, in hexadecimal.
    pub sha256: String,
    /// Its title.
    pub title: String,
    /// What it set out to show.
    pub hypothesis: String,
}

/// What a check came to in this run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckVerdict {
    /// What was demanded was shown.
    Pass,
    /// What was demanded was shown not to hold.
    Fail,
    /// The evidence does not suffice either way.
    Inconclusive,
    /// The run ended before the check could be decided.
    Aborted,
}

impl CheckVerdict {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Aborted => "aborted",
        }
    }

    /// The symbol for it, one character wide.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Pass => "✔",
            Self::Fail => "✘",
            Self::Inconclusive => "?",
            Self::Aborted => "-",
        }
    }
}

impl From<Verdict> for CheckVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Inconclusive => Self::Inconclusive,
            Verdict::Fail => Self::Fail,
        }
    }
}

/// A check's verdict with all that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckRecord {
    /// Its name.
    pub name: Name,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether a failure fails the run.
    pub severity: Severity,
    /// The verdict.
    pub verdict: CheckVerdict,
    /// The check in the scenario's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// One line: the figure that decided.
    pub summary: String,
    /// What supports the verdict, worst first.
    pub evidence: Vec<EvidenceRecord>,
    /// Measured figures; the unit is the end of the name (`detection_s`).
    pub figures: BTreeMap<String, f64>,
    /// Facts around it.
    pub notes: Vec<String>,
    /// What the owner of the server can do about it.
    pub help: Option<String>,
    /// What it came to for each length, if it looks at a swept fault.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lengths: Vec<LengthRecord>,
}

/// What a check came to for one length of a swept fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LengthRecord {
    /// The fault.
    pub fault: Name,
    /// For how long it was to be in force.
    pub length: Period,
    /// The verdict.
    pub verdict: CheckVerdict,
    /// One line: the figure that decided.
    pub summary: String,
    /// Measured figures; the unit is the end of the name.
    pub figures: BTreeMap<String, f64>,
}

/// A swept fault: what came of each length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweepRecord {
    /// The fault.
    pub fault: Name,
    /// Its lengths, in their order.
    pub lengths: Vec<SweptLengthRecord>,
}

/// One length of a swept fault. Figures are those of the slowest check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SweptLengthRecord {
    /// For how long the fault was to be in force.
    pub length: Period,
    /// From the first impact to the detection; absent if it was not detected or not looked for.
    pub detection_s: Option<f64>,
    /// From the open path to the recovery; absent if it did not come or was not looked for.
    pub recovery_s: Option<f64>,
    /// How long the client may wait at worst after such an outage before it tries again: the
    /// longest wait of its backoff that can straddle the end of the outage, and the longest
    /// attempt. Absent if nothing is known of its backoff.
    pub worst_case_s: Option<f64>,
    /// The worst verdict of the checks that look at the fault; absent if none does.
    pub verdict: Option<CheckVerdict>,
    /// Those checks that did not pass for this length.
    pub not_passed: Vec<Name>,
}

/// One demand of a check against what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EvidenceRecord {
    /// Its own verdict.
    pub verdict: Verdict,
    /// What was demanded.
    pub expected: String,
    /// What was measured.
    pub measured: String,
    /// Where the scenario demands it.
    pub place: Option<Place>,
    /// From when to when it was looked at, in seconds.
    pub window_s: Option<(f64, f64)>,
    /// Observations that it rests on.
    pub samples: u64,
}

/// A place in the scenario's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

/// A fault and what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Its name.
    pub name: Name,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// Where parameters moved to while it was in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ramp: BTreeMap<String, serde_json::Value>,
    /// The proxy that it acted on.
    pub proxy: Name,
    /// Connections that it touched, all occurrences together.
    pub victims: u64,
    /// Each time that it was in force.
    pub occurrences: Vec<OccurrenceRecord>,
}

/// One time that a fault was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OccurrenceRecord {
    /// Counts from 0.
    pub occurrence: u32,
    /// When it began.
    pub injected: EdgeRecord,
    /// When it ended; absent if it acts once or the run ended first.
    pub lifted: Option<EdgeRecord>,
    /// Connections that it touched, by what they felt.
    pub victims: BTreeMap<Impact, u64>,
}

/// One edge of a fault, as planned and as it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeRecord {
    /// When the schedule wanted it.
    pub planned_s: f64,
    /// When the engine was told.
    pub decided_s: f64,
    /// When every connection, or whatever else the fault acts on, followed it.
    pub actual_s: f64,
    /// How much later than planned that was.
    pub late_ms: f64,
}

/// A judgement of the steady state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SteadyStateRecord {
    /// Before the first fault, or after the last.
    pub gate: Gate,
    /// When it was judged.
    pub at_s: f64,
    /// Whether every condition held.
    pub met: bool,
    /// The conditions.
    pub conditions: Vec<ConditionRecord>,
}

/// A condition of the steady state, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionRecord {
    /// As written.
    pub condition: String,
    /// Whether it held.
    pub met: bool,
    /// What was measured.
    pub measured: String,
    /// Where the scenario demands it.
    pub place: Option<Place>,
}

/// What a workload or probe saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRecord {
    /// Its name.
    pub name: Name,
    /// The service that it talks to.
    pub service: Name,
    /// Each window of the run in which it saw something.
    pub windows: Vec<SourceWindow>,
}

/// What a workload or probe saw in one window: `baseline`, `fault:NAME`, `recovery:NAME` or `all`.
/// An observation belongs to the window in which it was meant to be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceWindow {
    /// The window.
    pub window: String,
    /// Observations.
    pub requests: u64,
    /// Those that came out other than wanted, timeouts included.
    pub errors: u64,
    /// Those without an answer within the deadline.
    pub timeouts: u64,
    /// Errors by requests, from 0 to 1.
    pub error_rate: f64,
    /// Latency of all observations, from the intended send; what got no answer counts with its
    /// deadline. Absent below 10 of them.
    pub latency_p50_ms: Option<f64>,
    /// Never below the median.
    pub latency_p95_ms: Option<f64>,
    /// Never below the 95th percentile.
    pub latency_p99_ms: Option<f64>,
    /// The longest.
    pub latency_max_ms: Option<f64>,
}

/// What went through a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyRecord {
    /// Its name.
    pub name: Name,
    /// Each window of the run in which somebody connected.
    pub windows: Vec<ProxyWindow>,
    /// What it carried in the whole run; absent of a run that did not take it down.
    pub totals: Option<ProxyTotals>,
    /// Connections that ended, by who ended them: `client`, `upstream`, `dial`, `fault:NAME`,
    /// `shutdown`, `limit` or `error`.
    pub closed: BTreeMap<String, u64>,
    /// Connections of clients that faults held back or ended: at most five, those first that they
    /// held longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldRecord>,
}

/// A connection that faults held back or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldRecord {
    /// Ordinal of the connection at its proxy, from 0.
    pub conn: u64,
    /// The client's address.
    pub client: String,
    /// When it was accepted.
    pub opened_s: f64,
    /// When it ended.
    pub closed_s: f64,
    /// For how long faults held back bytes of it, or its client before any; both ways are added
    /// up.
    pub held_s: f64,
    /// The faults that hit it, in the order in which they first did.
    pub faults: Vec<Name>,
    /// Who ended it, in the words of `closed` of its proxy.
    pub closed: String,
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
}

/// What a proxy carried in the whole run, chaosproxy's own connections included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyTotals {
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
    /// Pieces in which they were written to the server.
    pub chunks_upstream: u64,
    /// Pieces in which they were written to the client.
    pub chunks_downstream: u64,
    /// Times that one worker thread handed a connection to another.
    #[serde(default)]
    pub handovers: u64,
    /// How long bytes that met no fault stayed in chaosproxy, from the read to the write that the
    /// other side took at once. Of the pieces one in 16 is measured.
    pub own: Option<SpreadRecord>,
    /// How long faults held bytes, from their arrival to the moment at which they were due: what
    /// was added on purpose. Of a fault that was lifted early this is the time until then.
    pub injected: Option<SpreadRecord>,
    /// How much later than due such bytes left: what chaosproxy added to it.
    pub late: Option<SpreadRecord>,
}

/// How long something took, each time that it was measured. The median and the percentile are at
/// most a sixteenth too high, the longest is exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadRecord {
    /// How often it was measured.
    pub samples: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Connections of clients to a proxy in one window; chaosproxy's own are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyWindow {
    /// The window.
    pub window: String,
    /// Connections that were accepted.
    pub connections: u64,
    /// Sessions that clients asked for; on a proxy that does not speak PostgreSQL, connections.
    pub attempts: u64,
    /// Sessions that came about.
    pub sessions: u64,
    /// Knocks that a fault turned away before they were connections.
    pub refused: u64,
}
