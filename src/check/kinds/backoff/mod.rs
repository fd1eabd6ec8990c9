//! Whether reconnection attempts back off.

use serde::{Deserialize, Serialize};

use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;
use crate::units::{Period, Rate};
use policy::{Jitter, Shape};

pub mod policy;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Backoff;

/// Parameters of a backoff check. Without `base` no policy is declared, and only the budget of
/// attempts is judged.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The proxy at which attempts are seen.
    pub proxy: Name,
    /// The fault during which they are counted; best a `partition` with `mode = "reject"`.
    pub fault: Name,
    /// How the delay grows. Default exponential.
    #[serde(default)]
    pub shape: Shape,
    /// The first delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Period>,
    /// By what the delay grows from attempt to attempt. Default 2.
    #[serde(default = "factor")]
    pub factor: f64,
    /// The longest delay before jitter. Default 30s.
    #[serde(default = "max")]
    pub max: Period,
    /// How the delay is spread: `none`, `20%` (to either side), `equal`, `full` or `decorrelated`.
    /// Default none if `base` is given.
    #[serde(default)]
    pub jitter: Jitter,
    /// Independent retry loops behind the proxy. Default 1.
    #[serde(default = "lanes")]
    pub lanes: u32,
    /// Attempts that must be seen while the fault is in force. Default 1.
    #[serde(default = "min_attempts")]
    pub min_attempts: u64,
    /// Attempts that any second may hold, all loops together. Default no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
    /// How late an attempt may come after its delay, or 5 % of the delay if that is more. Default
    /// 50ms.
    #[serde(default = "late")]
    pub late: Period,
    /// How early an attempt may come. Default 5ms.
    #[serde(default = "early")]
    pub early: Period,
}

const fn factor() -> f64 {
    2.0
}

const fn max() -> Period {
    Period::from_secs(30)
}

const fn lanes() -> u32 {
    1
}

const fn min_attempts() -> u64 {
    1
}

const fn late() -> Period {
    Period::from_millis(50)
}

const fn early() -> Period {
    Period::from_millis(5)
}

impl Check for Backoff {
    const TYPE: &'static str = "backoff";
    const SUMMARY: &'static str = "reconnection attempts back off as declared, and never storm";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
