//! Whether every write is where its client was told it is.

use serde::{Deserialize, Serialize};

use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Integrity;

/// Parameters of an integrity check: how many writes may have each flaw. All default to 0.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The ledger.
    pub ledger: Name,
    /// Acknowledged and not there.
    #[serde(default)]
    pub lost: u64,
    /// There more than once.
    #[serde(default)]
    pub duplicated: u64,
    /// There and never written.
    #[serde(default)]
    pub phantom: u64,
    /// Surely refused, and there all the same.
    #[serde(default)]
    pub resurrected: u64,
}

impl Check for Integrity {
    const TYPE: &'static str = "integrity";
    const SUMMARY: &'static str = "no write is lost, doubled, invented or brought back";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
