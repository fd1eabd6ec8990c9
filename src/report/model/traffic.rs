//! What clients saw, and what went through the proxies.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Name;

/// What a workload or probe saw.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceRecord {
    /// Its name.
    pub name: Name,
    /// The service that it talks to.
    pub service: Name,
    /// Each window of the run in which it saw something.
    pub windows: Vec<SourceWindow>,
}

/// What a workload or probe saw in one window: `baseline`, `fault:NAME`, `recovery:NAME` or `all`.
/// They are those of checks: what a fault finds under way belongs to the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SourceWindow {
    /// The window.
    pub window: String,
    /// Observations.
    pub requests: u64,
    /// Those that came out other than wanted, those without an answer included.
    pub errors: u64,
    /// Those without an answer: none within the deadline, refused, reset, broken.
    pub timeouts: u64,
    /// Errors by requests, from 0 to 1.
    pub error_rate: f64,
    /// Latency of good answers, from the intended send; what got no answer counts with its deadline,
    /// errors are left out. Absent below 10 of them.
    pub latency_p50_ms: Option<f64>,
    /// Never below the median.
    pub latency_p95_ms: Option<f64>,
    /// Never below the 95th percentile.
    pub latency_p99_ms: Option<f64>,
    /// The longest.
    pub latency_max_ms: Option<f64>,
}

/// What went through a proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyRecord {
    /// Its name.
    pub name: Name,
    /// Each window of the run in which somebody connected.
    pub windows: Vec<ProxyWindow>,
    /// What it carried in the whole run; absent of a run that did not take it down.
    pub totals: Option<ProxyTotals>,
    /// Connections that ended, by who ended them: `client`, `upstream`, `dial`, `fault:NAME`,
    /// `shutdown`, `limit` or `error`.
    pub closed: BTreeMap<String, u64>,
    /// Connections of clients that faults held back or ended: at most five, those first that they
    /// held longest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<HeldRecord>,
}

/// A connection that faults held back or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldRecord {
    /// Ordinal of the connection at its proxy, from 0.
    pub conn: u64,
    /// The client's address.
    pub client: String,
    /// When it was accepted.
    pub opened_s: f64,
    /// When it ended.
    pub closed_s: f64,
    /// For how long faults held back bytes of it, or its client before any; both ways are added
    /// up.
    pub held_s: f64,
    /// The faults that hit it, in the order in which they first did.
    pub faults: Vec<Name>,
    /// Who ended it, in the words of `closed` of its proxy.
    pub closed: String,
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
}

/// What a proxy carried in the whole run, chaosproxy's own connections included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyTotals {
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
    /// Pieces in which they were written to the server.
    pub chunks_upstream: u64,
    /// Pieces in which they were written to the client.
    pub chunks_downstream: u64,
    /// How long bytes that met no fault stayed in chaosproxy, from the read to the write that the
    /// other side took at once. Of the pieces one in 16 is measured.
    pub own: Option<SpreadRecord>,
    /// How long faults held bytes, from their arrival to the moment at which they were due: what
    /// was added on purpose. Of a fault that was lifted early this is the time until then.
    pub injected: Option<SpreadRecord>,
    /// How much later than due such bytes left: what chaosproxy added to it.
    pub late: Option<SpreadRecord>,
}

/// How long something took, each time that it was measured. The median and the percentile are at
/// most a sixteenth too high, the longest is exact.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SpreadRecord {
    /// How often it was measured.
    pub samples: u64,
    /// The median.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// Connections of clients to a proxy in one window; chaosproxy's own are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxyWindow {
    /// The window.
    pub window: String,
    /// Connections that were accepted.
    pub connections: u64,
    /// Sessions that clients asked for; on a proxy that does not speak PostgreSQL, connections.
    pub attempts: u64,
    /// Sessions that came about.
    pub sessions: u64,
    /// Knocks that a fault turned away before they were connections.
    pub refused: u64,
}
