//! Whether a service is back to normal in time.

use serde::{Deserialize, Serialize};

use crate::check::{Assertion, Names};
use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;
use crate::units::Period;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Recovery;

/// Parameters of a recovery check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service that must recover.
    pub service: Name,
    /// The fault or faults that it must recover from; each time that one was in force counts.
    pub fault: Names,
    /// The time that it has, from the moment at which the path carries traffic again.
    pub within: Period,
    /// What must hold of its workloads and probes to be called recovered. Besides, 99 % of their
    /// observations must be ok and their p95 near that of the baseline.
    pub that: Vec<Assertion>,
    /// How long it must stay recovered. Default 5s.
    #[serde(default = "hold")]
    pub hold: Period,
    /// Observations that are needed in that time. Default 20.
    #[serde(default = "min_samples")]
    pub min_samples: u64,
    /// How far the p95 may lie above that of the baseline, if twice the baseline is less. Default
    /// 50ms.
    #[serde(default = "slack")]
    pub slack: Period,
}

const fn hold() -> Period {
    Period::from_secs(5)
}

const fn min_samples() -> u64 {
    20
}

const fn slack() -> Period {
    Period::from_millis(50)
}

impl Check for Recovery {
    const TYPE: &'static str = "recovery";
    const SUMMARY: &'static str = "the service is back to normal in time after the fault is gone";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
