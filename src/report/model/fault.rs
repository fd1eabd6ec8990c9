//! What faults did.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::{Impact, Name};

/// A fault and what it did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Its name.
    pub name: Name,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// Where parameters moved to while it was in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ramp: BTreeMap<String, serde_json::Value>,
    /// The proxy that it acted on.
    pub proxy: Name,
    /// Connections that it touched, all occurrences together.
    pub victims: u64,
    /// Each time that it was in force.
    pub occurrences: Vec<OccurrenceRecord>,
}

/// One time that a fault was in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OccurrenceRecord {
    /// Counts from 0.
    pub occurrence: u32,
    /// When it began.
    pub injected: EdgeRecord,
    /// When it ended; absent if it acts once or the run ended first.
    pub lifted: Option<EdgeRecord>,
    /// Connections that it touched, by what they felt.
    pub victims: BTreeMap<Impact, u64>,
}

/// One edge of a fault, as planned and as it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EdgeRecord {
    /// When the schedule wanted it.
    pub planned_s: f64,
    /// When the engine was told.
    pub decided_s: f64,
    /// When every connection, or whatever else the fault acts on, followed it.
    pub actual_s: f64,
    /// How much later than planned that was.
    pub late_ms: f64,
}
