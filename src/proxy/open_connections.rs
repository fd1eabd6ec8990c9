//! The open connections of a proxy, and what each has carried: readable at any time.
//!
//! A connection alone writes its [`ConnStats`], with plain stores. The lock of [`OpenConnections`] is
//! taken where a connection begins or ends and by the reader, never to count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;

use super::conn_stats::ConnStats;
use crate::event::{OpenConnection, Wait};
use crate::units::Moment;

/// Connections that are looked at under one lock; others can open or close in between.
const AT_ONCE: usize = 256;

/// The open connections of one proxy.
#[derive(Debug, Default)]
pub(super) struct OpenConnections(Mutex<Slab<Entry>>);

#[derive(Debug)]
struct Entry {
    stats: Arc<ConnStats>,
    /// Bytes that it had carried at the last look.
    seen: u64,
}

impl OpenConnections {
    /// Lists a connection. Returns its place in the list and its statistics.
    pub(super) fn enter(&self, conn: u64) -> (usize, Arc<ConnStats>) {
        let stats = Arc::new(ConnStats::new(conn));
        let entry = Entry {
            stats: Arc::clone(&stats),
            seen: 0,
        };
        (self.lock().insert(entry), stats)
    }

    /// Removes the connection at this place.
    pub(super) fn leave(&self, place: usize) {
        self.lock().remove(place);
    }

    /// At most `most` connections: first those that wait, the longest first, then those that
    /// carried most since the last look.
    pub(super) fn stuck_or_busiest(&self, most: usize, now: Moment) -> Vec<OpenConnection> {
        let mut best: Vec<Candidate> = Vec::new();
        for first in (0..).step_by(AT_ONCE) {
            let mut listed = self.lock();
            if first >= listed.capacity() {
                break;
            }
            for place in first..first + AT_ONCE {
                let Some(entry) = listed.get_mut(place) else {
                    continue;
                };
                let candidate = Candidate::new(entry, now);
                let place = best.partition_point(|better| better.rank >= candidate.rank);
                if place < most {
                    best.truncate(most - 1);
                    best.insert(place, candidate);
                }
            }
        }
        best.into_iter().map(Candidate::into_open).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that may be shown.
struct Candidate {
    /// For how long it has been waiting, and what it carried.
    rank: (Option<Duration>, u64),
    waits: Option<Wait>,
    stats: Arc<ConnStats>,
}

impl Candidate {
    fn new(entry: &mut Entry, now: Moment) -> Self {
        let carried = entry.stats.bytes();
        let moved = carried - std::mem::replace(&mut entry.seen, carried);
        let waits = entry.stats.waits(now);
        Self {
            rank: (waits.map(|wait| now.since(wait.since)), moved),
            waits,
            stats: Arc::clone(&entry.stats),
        }
    }

    fn into_open(self) -> OpenConnection {
        OpenConnection {
            conn: self.stats.conn(),
            moved: self.rank.1,
            waits: self.waits,
            carried: self.stats.carried(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Direction;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    /// The ordinals of the connections that are shown, with what they moved.
    fn seen(connections: &OpenConnections, most: usize, now: Moment) -> Vec<(u64, u64)> {
        let found = connections.stuck_or_busiest(most, now).into_iter();
        found.map(|one| (one.conn, one.moved)).collect()
    }

    #[test]
    fn who_waits_longest_comes_first_and_then_who_moved_most_since_the_last_look() {
        let connections = OpenConnections::default();
        let stats: Vec<_> = (0..6).map(|conn| connections.enter(conn).1).collect();
        for (stats, bytes) in stats.iter().zip([5, 50, 20, 40, 0, 0]) {
            stats.passed(Direction::Downstream, bytes, at(1000));
        }
        stats[4].holds(Some(at(100)));
        stats[5].holds(Some(at(50)));
        let moved = seen(&connections, 5, at(1200));
        assert_eq!(moved, [(5, 0), (4, 0), (1, 50), (3, 40), (2, 20)]);
        stats[0].passed(Direction::Upstream, 7, at(1300));
        stats[4].holds(None);
        assert_eq!(seen(&connections, 2, at(1400)), [(5, 0), (0, 7)]);
        assert_eq!(seen(&connections, 100, at(1500)).len(), 6);
    }

    #[test]
    fn every_connection_of_many_is_looked_at() {
        let connections = OpenConnections::default();
        let many = 2 * AT_ONCE as u64 + 10;
        let stats: Vec<_> = (0..many).map(|conn| connections.enter(conn)).collect();
        for (place, _) in &stats[AT_ONCE..] {
            connections.leave(*place);
        }
        let (_, last) = connections.enter(many);
        last.passed(Direction::Upstream, 1, at(1));
        let found = seen(&connections, usize::MAX, at(2));
        assert_eq!(found.len(), AT_ONCE + 1);
        assert_eq!(found[0], (many, 1));
    }

    #[test]
    fn who_has_left_is_seen_no_more_and_its_place_begins_anew() {
        let connections = OpenConnections::default();
        let (place, first) = connections.enter(0);
        first.passed(Direction::Upstream, 9, at(1));
        assert_eq!(seen(&connections, 5, at(2)), [(0, 9)]);
        connections.leave(place);
        assert_eq!(seen(&connections, 5, at(3)), []);
        let (again, second) = connections.enter(1);
        assert_eq!(again, place);
        second.passed(Direction::Upstream, 4, at(4));
        assert_eq!(seen(&connections, 5, at(5)), [(1, 4)]);
    }
}
