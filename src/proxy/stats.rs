use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::Direction;

/// What a proxy has carried so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stats {
    /// Connections that are open now.
    pub open: u64,
    /// Connections accepted since the start.
    pub accepted: u64,
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    bytes: [AtomicU64; 2],
}

impl Counters {
    pub(super) fn snapshot(&self) -> Stats {
        Stats {
            open: self.open.load(Ordering::Relaxed),
            accepted: self.accepted.load(Ordering::Relaxed),
            bytes_upstream: self.bytes[Direction::Upstream as usize].load(Ordering::Relaxed),
            bytes_downstream: self.bytes[Direction::Downstream as usize].load(Ordering::Relaxed),
        }
    }

    pub(super) fn passed(&self, direction: Direction, bytes: u64) {
        self.bytes[direction as usize].fetch_add(bytes, Ordering::Relaxed);
    }
}

/// A connection that counts as open until this is dropped.
#[derive(Debug)]
pub(super) struct OpenGuard(Arc<Counters>);

impl OpenGuard {
    pub(super) fn new(counters: &Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::Relaxed);
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counters))
    }
}

impl Drop for OpenGuard {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
