//! The blocks as they are written: plain types whose doc comments become the JSON Schema.

mod default;
mod fault;
mod probe;
mod stage;
mod traffic;

pub(super) use fault::{BlastRadius, Chaos, Fault};
pub(super) use probe::{
    CommandTarget, HttpTarget, LogTarget, MetricTarget, Probe, SqlTarget, TcpTarget,
};
pub(super) use stage::{Database, Keepalive, Proxy, Service};
pub(super) use traffic::{HttpWorkload, JobWorkload, Ledger, Request};

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::check::{Assertion, Severity};
use crate::units::Period;

/// The experiment as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What the experiment is about, in one sentence.
    pub(super) title: String,
    /// What is expected to hold, as a person would say it.
    #[serde(default)]
    pub(super) hypothesis: String,
    /// Words to find the scenario by.
    #[serde(default)]
    #[expect(dead_code, reason = "for people and editors; nothing acts on it")]
    pub(super) tags: Vec<String>,
    /// Seeds every die; the same seed gives the same run.
    #[serde(default)]
    pub(super) seed: u64,
    /// From time zero (the confirmed steady state) to the end of the schedule.
    pub(super) duration: Period,
    /// How long jobs and ledgers may go on after the schedule.
    #[serde(default = "default::thirty_seconds")]
    pub(super) settle: Period,
}

/// The gate: what must hold before anything is injected, and again at the end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SteadyState {
    /// How long it must hold.
    #[serde(default = "default::five_seconds")]
    pub(super) window: Period,
    /// Assertions, for example `web.error_rate == 0%`.
    #[serde(default)]
    pub(super) require: Vec<Assertion>,
}

impl Default for SteadyState {
    fn default() -> Self {
        Self {
            window: default::five_seconds(),
            require: Vec::new(),
        }
    }
}

/// A condition that ends the run early; everything heals.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortCondition {
    /// An assertion, for example `web.error_rate > 50% for 5s`.
    pub(super) when: Assertion,
}

/// The keys that every check has, whatever its type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// Its name.
    pub(super) name: String,
    /// What it proves.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(super) kind: String,
    /// Whether a failure fails the run.
    #[serde(default)]
    pub(super) severity: Severity,
}

/// Outputs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// The folder for the report; below `chaosproxy-runs`, unless given.
    pub(super) dir: Option<PathBuf>,
}
