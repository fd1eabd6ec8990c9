//! Which worker carries a new connection: the one with the fewest open connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// The open connections of each worker.
#[derive(Debug, Clone)]
pub(super) struct Placement(Arc<[Open]>);

/// Of one worker, in a cache line of its own: workers close connections at the same time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Open(AtomicUsize);

/// A connection's place at a worker, until dropped.
#[derive(Debug)]
pub(super) struct Place {
    placement: Placement,
    worker: usize,
}

impl Place {
    /// The number of the worker, from 0.
    pub(super) const fn worker(&self) -> usize {
        self.worker
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.placement.0[self.worker].0.fetch_sub(1, Relaxed);
    }
}

impl Placement {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Open::default()).collect())
    }

    /// Places the next connection.
    pub(super) fn place(&self) -> Place {
        let least_loaded = (0..self.0.len()).min_by_key(|worker| self.open_at(*worker));
        let worker = least_loaded.expect("a pool has at least one worker");
        self.0[worker].0.fetch_add(1, Relaxed);
        Place {
            placement: self.clone(),
            worker,
        }
    }

    /// Connections that are open at all workers.
    pub(super) fn open(&self) -> usize {
        (0..self.0.len()).map(|worker| self.open_at(worker)).sum()
    }

    fn open_at(&self, worker: usize) -> usize {
        self.0[worker].0.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_spread_evenly_from_the_first_on() {
        let placement = Placement::new(3);
        let mut places: Vec<_> = (0..8).map(|_| placement.place()).collect();
        let workers = |places: &[Place]| places.iter().map(Place::worker).collect::<Vec<_>>();
        assert_eq!(workers(&places), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(placement.open(), 8);
        places.retain(|place| place.worker() != 1);
        let next: Vec<_> = (0..3).map(|_| placement.place()).collect();
        assert_eq!(workers(&next), [1, 1, 1], "where connections have closed");
        drop((places, next));
        assert_eq!(placement.open(), 0);
    }
}
