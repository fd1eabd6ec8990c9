//! The state of a pool, for `/health` and `/metrics`.

use std::time::Duration;

/// State of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::demo) enum State {
    /// It answers.
    Available,
    /// A query got no answer; the supervisor pings the database.
    Suspect,
    /// It does not answer, or has not been reached yet.
    Unavailable,
}

/// State of a pool at one moment.
#[derive(Debug, Clone)]
pub(in crate::demo) struct Snapshot {
    pub(in crate::demo) state: State,
    /// Open connections.
    pub(in crate::demo) size: usize,
    /// Idle connections.
    pub(in crate::demo) free: usize,
    pub(in crate::demo) min: usize,
    pub(in crate::demo) max: usize,
    /// Operations that wait for a connection or for the database.
    pub(in crate::demo) waiting: usize,
    /// Latency of the last heartbeat.
    pub(in crate::demo) ping: Option<Duration>,
    /// Whether the last attempt to open a connection failed.
    pub(in crate::demo) dial_failing: bool,
}

impl Snapshot {
    /// Share of the maximum that is in use.
    pub(in crate::demo) fn utilization_percent(&self) -> f64 {
        100.0 * (self.size - self.free) as f64 / self.max.max(1) as f64
    }
}

/// Counters of a pool.
#[derive(Debug, Clone, Default)]
pub(in crate::demo) struct Counters {
    /// How often the database was lost.
    pub(in crate::demo) losses: u64,
    /// Attempts to connect.
    pub(in crate::demo) dials: u64,
    /// Time that operations spent waiting for a connection, in all.
    pub(in crate::demo) waited: Duration,
}
