//! Whether a health endpoint goes on answering.

use serde::{Deserialize, Serialize};

use crate::check::{Assertion, Window};
use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;
use crate::units::{Period, Share};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Health;

/// Parameters of a health check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The probe that asks.
    pub probe: Name,
    /// The time in which it must be answered.
    pub during: Window,
    /// What must hold of it in that time.
    pub that: Vec<Assertion>,
    /// How busy the machine may be for a slow answer to count. Default 95%.
    #[serde(default = "max_busy")]
    pub max_busy: Share,
    /// How late the probe may be sent, at the 99th percentile, for a slow answer to count. Default
    /// 5ms.
    #[serde(default = "max_lateness")]
    pub max_lateness: Period,
}

fn max_busy() -> Share {
    Share::from_fraction(0.95).unwrap_or(Share::ALL)
}

const fn max_lateness() -> Period {
    Period::from_millis(5)
}

impl Check for Health {
    const TYPE: &'static str = "health";
    const SUMMARY: &'static str = "a health endpoint goes on answering, quickly";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
