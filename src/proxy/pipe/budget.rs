//! What all pipes of a process may hold together.
//!
//! A way of a connection may hold a little of its own accord, and much while there is budget left.
//! Whoever asks at the same moment on another thread may be told of the same bytes, so the budget
//! can be exceeded by one read per thread, and never by more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one way may hold, over all its stages and what waits to be written: 32 MiB.
pub(super) const MOST_PER_WAY: usize = 32 << 20;
/// What one way may hold when the budget is spent: 1 MiB.
pub(super) const LEAST_PER_WAY: usize = 1 << 20;
/// The budget of a process: 256 MiB.
const TOTAL: usize = 256 << 20;

/// A number of bytes that pipes hold together.
#[derive(Debug)]
pub struct Budget {
    total: usize,
    held: AtomicUsize,
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(TOTAL)
    }
}

impl Budget {
    pub(super) const fn of(total: usize) -> Self {
        Self {
            total,
            held: AtomicUsize::new(0),
        }
    }

    /// Bytes that pipes hold at present.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// What one pipe holds of a budget. It is given back with the account.
pub(super) struct Account {
    budget: Arc<Budget>,
    held: usize,
}

impl Account {
    pub(super) const fn new(budget: Arc<Budget>) -> Self {
        Self { budget, held: 0 }
    }

    /// From now on the pipe holds `held` bytes.
    pub(super) fn settle(&mut self, held: usize) {
        // The sum of all accounts: neither addition nor subtraction leaves the range.
        if held > self.held {
            self.budget
                .held
                .fetch_add(held - self.held, Ordering::Relaxed);
        } else if held < self.held {
            self.budget
                .held
                .fetch_sub(self.held - held, Ordering::Relaxed);
        }
        self.held = held;
    }

    /// What a way that holds `held` bytes may hold.
    pub(super) fn allowance(&self, held: usize) -> usize {
        let left = self.budget.total.saturating_sub(self.budget.held());
        (held + left).clamp(LEAST_PER_WAY, MOST_PER_WAY)
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.settle(0);
    }
}
