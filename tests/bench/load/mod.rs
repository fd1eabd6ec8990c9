//! Work that goes through a target, and the servers at its other end.

pub(crate) mod bulk;
pub(crate) mod pgbench;
pub(crate) mod talk;

use std::time::Duration;

/// What one measurement came to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    /// Transactions or bytes.
    pub(crate) units: u64,
    /// In which time.
    pub(crate) time: Duration,
    /// The 99th percentile of a transaction's time, where each was timed.
    pub(crate) p99: Option<Duration>,
}

impl Outcome {
    pub(crate) fn per_second(&self) -> f64 {
        self.units as f64 / self.time.as_secs_f64()
    }
}

/// Lets time pass while others work. A bare sleep, which also is what delays are compared with.
#[expect(clippy::disallowed_methods, reason = "what is measured is time itself")]
pub(crate) fn pause(time: Duration) {
    std::thread::sleep(time);
}
