//! Whether a bystander stays at its baseline.

use serde::{Deserialize, Serialize};

use crate::check::{Assertion, Window};
use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;
use crate::units::{Period, Share};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Isolation;

/// Parameters of an isolation check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The bystander.
    pub service: Name,
    /// The time in which it must not notice.
    pub during: Window,
    /// What must hold of its workloads and probes in that time.
    pub that: Vec<Assertion>,
    /// A shift of a latency that is too small to matter. Default 5ms.
    #[serde(default = "floor")]
    pub floor: Period,
    /// How busy the machine may be for latencies to count. Default 95%.
    #[serde(default = "max_busy")]
    pub max_busy: Share,
    /// How late observations may be sent, at the 99th percentile, for latencies to count. Default
    /// 5ms.
    #[serde(default = "max_lateness")]
    pub max_lateness: Period,
}

const fn floor() -> Period {
    Period::from_millis(5)
}

fn max_busy() -> Share {
    Share::from_fraction(0.95).unwrap_or(Share::ALL)
}

const fn max_lateness() -> Period {
    Period::from_millis(5)
}

impl Check for Isolation {
    const TYPE: &'static str = "isolation";
    const SUMMARY: &'static str = "a bystander stays at its baseline while others suffer";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
