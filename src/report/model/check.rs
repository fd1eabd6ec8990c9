//! What checks came to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Place;
use crate::check::{Severity, Verdict};
use crate::event::{Name, Reason};
use crate::units::Period;

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
    /// Why some of them were not ok, the commonest reasons first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}
