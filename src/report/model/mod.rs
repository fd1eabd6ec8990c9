//! What a report says. These types are the format of `report.json`; their documentation is its
//! schema's.

pub(super) mod check;
pub(super) mod fault;
pub(super) mod traffic;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Course, Outcome};
use crate::event::{Gate, Reason};
use check::{CheckRecord, SweepRecord};
use fault::FaultRecord;
use traffic::{ProxyRecord, SourceRecord};

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
    /// Why observations were not ok.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Where the scenario demands it.
    pub place: Option<Place>,
}
