//! Verdicts: pure functions from the finished [`History`] to a [`Finding`] with evidence.
//!
//! No evidence is never a pass. A check that crashes is inconclusive. Adding a type of check takes
//! one file and one line in the registry.

mod about;
mod advice;
pub mod assertion;
pub mod baseline;
mod bounds;
mod exercise;
mod finding;
mod history;
mod judge;
pub mod kinds;
mod limits;
mod lint;
pub mod metric;
mod outlook;
mod params;
mod registry;
mod shortfall;
mod show;
mod silence;
mod stats;
mod sweep;
#[cfg(test)]
mod testing;
mod window;

pub use about::About;
pub use assertion::{Assertion, Measured, ParseError, Watch};
pub use exercise::{Excuse, STARVED, is_missed_anyway, starved};
pub use history::{
    Attempt, Attempts, Client, Connection, Ended, History, Hit, JobPoll, LogLine, Occurrence,
    QueryRows, StoredBaseline, Write,
};
pub use judge::judge;
pub use kinds::backoff::{Gap, Trace};
pub use limits::Limits;
pub use outlook::{CheckOutlook, FaultOutlook, Lint, Outlook};
pub use params::Names;
pub use registry::{Check, Kind, kind, kinds};
pub use shortfall::{ROOM, turned_away};
pub(crate) use show::{decimal, plural, trimmed};
pub use sweep::{Sweep, SweptLength, sweeps};
pub use window::Window;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::diag::Span;
use crate::event::{Name, Reason};
use crate::fault;
use crate::units::{Moment, Period};

/// What a check came to. Ordered so that the worst of several is their maximum.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// What was demanded was shown.
    Pass,
    /// The evidence does not suffice either way.
    Inconclusive,
    /// What was demanded was shown not to hold.
    Fail,
}

/// A check as the scenario demands it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Its name.
    pub name: Name,
    /// Its type, as in the registry (`detection`).
    pub kind: String,
    /// Whether a failure fails the run.
    pub severity: Severity,
    /// The type's parameters, as JSON: all keys of the block but `name`, `type` and `severity`.
    pub params: serde_json::Value,
    /// Where the block stands in the scenario.
    pub source: SourceMap,
}

/// How much a failing check weighs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// A failure fails the run.
    #[default]
    Error,
    /// A failure is reported and does not change the exit code.
    Warning,
}

/// Where a block and its values stand in the scenario's text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SourceMap {
    /// The block's header, for example `[[check]]`.
    pub block: Span,
    /// The value of each key; elements of arrays as `that[0]`.
    pub values: BTreeMap<String, Span>,
}

impl SourceMap {
    /// The value of `key`, or else the block.
    pub fn of(&self, key: &str) -> Span {
        self.values.get(key).copied().unwrap_or(self.block)
    }
}

/// What judging needs to know of the plan; the journal's header carries it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Experiment {
    /// The scenario's title.
    pub title: String,
    /// The scenario's hypothesis.
    pub hypothesis: String,
    /// The faults, in the order of the file.
    pub faults: Vec<FaultBrief>,
    /// Workloads and probes by name, with the service that they talk to.
    pub sources: BTreeMap<Name, SourceBrief>,
    /// The checks, in the order of the file.
    pub checks: Vec<CheckSpec>,
    /// The proxies that do not know the protocol of their connections.
    #[serde(default)]
    pub opaque: BTreeSet<Name>,
    /// What the machine may do for a failure to count.
    #[serde(default)]
    pub limits: Limits,
    /// Whether it is judged.
    #[serde(default)]
    pub purpose: Purpose,
}

impl Experiment {
    /// How long an observation of `source` may wait for its answer.
    pub fn deadline(&self, source: &str) -> std::time::Duration {
        let brief = self.sources.get(source);
        brief.map_or_else(Default::default, |brief| brief.timeout)
    }
}

/// What an experiment is carried out for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// A verdict.
    #[default]
    Judge,
    /// The journal alone; a verdict may be asked for later.
    Record,
}

/// What judging needs to know of a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultBrief {
    /// Its name.
    pub name: Name,
    /// Its kind.
    pub kind: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// Where parameters move to while it is in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ramp: BTreeMap<String, serde_json::Value>,
    /// Lengths that it has one after the other, if it is swept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Period>,
    /// What it acts on, mostly a proxy; several names are joined by `, `.
    pub proxy: Name,
    /// How many connections it must touch to count as exercised. Default 1.
    pub min_hits: u64,
}

impl FaultBrief {
    /// Its kind; `None` in a journal that knows others than this version.
    pub(crate) fn kind(&self) -> Option<&'static fault::Kind> {
        fault::kind(&self.kind)
    }

    /// Whether it acts once, on connections, and leaves nothing to lift.
    pub(crate) fn acts_once(&self) -> bool {
        self.kind().is_some_and(|kind| {
            kind.subject == fault::Subject::Connections && !(kind.lasts)(&self.params)
        })
    }

    /// Whether nothing gets through while it is in force.
    pub(crate) fn severs(&self) -> bool {
        self.kind().is_some_and(|kind| (kind.severs)(&self.params))
    }
}

/// What judging needs to know of a workload or probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceBrief {
    /// The service that it talks to; empty if it talks to none.
    pub service: Name,
    /// Deadline of one observation.
    pub timeout: std::time::Duration,
    /// Intended time between two observations; `None` if not regular (log probes).
    pub interval: Option<std::time::Duration>,
}

/// A check's verdict with all that was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The check's name.
    pub check: Name,
    /// Its type.
    pub kind: String,
    /// Its severity.
    pub severity: Severity,
    /// The verdict.
    pub verdict: Verdict,
    /// One line without a full stop: the figure that decided (`detected after 1.42 s (bound 5 s)`).
    pub summary: String,
    /// What supports the verdict, worst first.
    pub evidence: Vec<Evidence>,
    /// Measured figures by name, unit last in the name (`detection_s`), for trends and reports.
    pub figures: BTreeMap<String, f64>,
    /// Facts around it, each one line.
    pub notes: Vec<String>,
    /// What the owner of the server can do about it; only with a failure or inconclusive verdict.
    pub help: Option<String>,
    /// What it came to for each length, if it looks at a swept fault.
    pub lengths: Vec<LengthFinding>,
    /// The attempts that it judged, for a plot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<Trace>,
}

/// What a check came to for one length of a swept fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LengthFinding {
    /// The fault.
    pub fault: Name,
    /// Which time it was in force, from 0.
    pub occurrence: u32,
    /// For how long it was to be in force.
    pub length: Period,
    /// The verdict.
    pub verdict: Verdict,
    /// The figure that decided.
    pub summary: String,
    /// Measured figures by name.
    pub figures: BTreeMap<String, f64>,
}

/// One demand of a check against what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Its own verdict.
    pub verdict: Verdict,
    /// The demand in the scenario's text.
    pub span: Span,
    /// What was demanded (`within 5 s`).
    pub expected: String,
    /// What was measured (`no signal within 5 s of the first impact`).
    pub measured: String,
    /// From when to when it was looked at.
    pub window: Option<(Moment, Moment)>,
    /// Observations that it rests on.
    pub samples: u64,
    /// The workloads and probes that made them.
    pub sources: Vec<Name>,
    /// Why some of them were not ok.
    pub reasons: Vec<Reason>,
}
