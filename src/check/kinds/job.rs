//! Whether a long job outlives its database.

use serde::{Deserialize, Serialize};

use crate::check::Names;
use crate::check::{Check, CheckSpec, Finding, History, Verdict};
use crate::event::Name;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Job;

/// Parameters of a job check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The workload of kind `job`.
    pub workload: Name,
    /// The fault or faults that it must outlive.
    pub fault: Names,
    /// A query whose first row must be as given once the job is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// A query past the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The database.
    pub database: Name,
    /// The query.
    pub sql: String,
    /// The values of its only row.
    pub equals: Vec<serde_json::Value>,
}

impl Check for Job {
    const TYPE: &'static str = "job";
    const SUMMARY: &'static str =
        "a job pauses with its database, resumes, and finishes with each item once";
    type Params = Params;

    fn judge(_params: &Params, spec: &CheckSpec, _history: &History) -> Finding {
        Finding::new(spec, Verdict::Inconclusive, "not judged")
    }
}
