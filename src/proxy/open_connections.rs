//! The open connections of a proxy, and what each has carried: readable at any time.
//!
//! A connection keeps a [`ConnStats`], which it alone writes, with plain stores. The lock of a [`OpenConnections`]
//! is taken where a connection begins or ends and by the reader, never to count.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;

use super::conn_stats::ConnStats;
use crate::event::{OpenConnection, Wait};
use crate::units::Moment;

/// So many connections are looked at before others may open or close.
const AT_ONCE: usize = 256;

/// The open connections of one proxy.
#[derive(Debug, Default)]
pub(super) struct OpenConnections(Mutex<Slab<Entry>>);

#[derive(Debug)]
struct Entry {
    card: Arc<ConnStats>,
    /// Bytes that it had carried when somebody looked last.
    seen: u64,
}

impl OpenConnections {
    /// Puts a connection on the roll: where, and the card that it keeps.
    pub(super) fn enter(&self, conn: u64) -> (usize, Arc<ConnStats>) {
        let card = Arc::new(ConnStats::new(conn));
        let entry = Entry {
            card: Arc::clone(&card),
            seen: 0,
        };
        (self.lock().insert(entry), card)
    }

    /// Takes the connection off that was put there.
    pub(super) fn leave(&self, place: usize) {
        self.lock().remove(place);
    }

    /// The connections that are most worth a look, at most so many: first those that wait, the
    /// longest first, then those that carried most since the last look.
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
        best.into_iter().map(Candidate::told).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that may be worth a look.
struct Candidate {
    /// For how long it has been waiting, and what it carried.
    rank: (Option<Duration>, u64),
    waits: Option<Wait>,
    card: Arc<ConnStats>,
}

impl Candidate {
    fn new(entry: &mut Entry, now: Moment) -> Self {
        let carried = entry.card.bytes();
        let moved = carried - std::mem::replace(&mut entry.seen, carried);
        let waits = entry.card.waits(now);
        Self {
            rank: (waits.map(|wait| now.since(wait.since)), moved),
            waits,
            card: Arc::clone(&entry.card),
        }
    }

    fn told(self) -> OpenConnection {
        OpenConnection {
            conn: self.card.conn(),
            moved: self.rank.1,
            waits: self.waits,
            carried: self.card.carried(),
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

    /// The ordinals of what is worth a look, with what was moved.
    fn looked(roll: &OpenConnections, most: usize, now: Moment) -> Vec<(u64, u64)> {
        let found = roll.stuck_or_busiest(most, now).into_iter();
        found.map(|one| (one.conn, one.moved)).collect()
    }

    #[test]
    fn who_waits_longest_comes_first_and_then_who_moved_most_since_the_last_look() {
        let roll = OpenConnections::default();
        let cards: Vec<_> = (0..6).map(|conn| roll.enter(conn).1).collect();
        for (card, bytes) in cards.iter().zip([5, 50, 20, 40, 0, 0]) {
            card.passed(Direction::Downstream, bytes, at(1000));
        }
        cards[4].holds(Some(at(100)));
        cards[5].holds(Some(at(50)));
        let moved = looked(&roll, 5, at(1200));
        assert_eq!(moved, [(5, 0), (4, 0), (1, 50), (3, 40), (2, 20)]);
        cards[0].passed(Direction::Upstream, 7, at(1300));
        cards[4].holds(None);
        assert_eq!(looked(&roll, 2, at(1400)), [(5, 0), (0, 7)]);
        assert_eq!(looked(&roll, 100, at(1500)).len(), 6);
    }

    #[test]
    fn every_connection_of_many_is_looked_at() {
        let roll = OpenConnections::default();
        let many = 2 * AT_ONCE as u64 + 10;
        let cards: Vec<_> = (0..many).map(|conn| roll.enter(conn)).collect();
        for (place, _) in &cards[AT_ONCE..] {
            roll.leave(*place);
        }
        let (_, last) = roll.enter(many);
        last.passed(Direction::Upstream, 1, at(1));
        let found = looked(&roll, usize::MAX, at(2));
        assert_eq!(found.len(), AT_ONCE + 1);
        assert_eq!(found[0], (many, 1));
    }

    #[test]
    fn who_has_left_is_seen_no_more_and_its_place_begins_anew() {
        let roll = OpenConnections::default();
        let (place, first) = roll.enter(0);
        first.passed(Direction::Upstream, 9, at(1));
        assert_eq!(looked(&roll, 5, at(2)), [(0, 9)]);
        roll.leave(place);
        assert_eq!(looked(&roll, 5, at(3)), []);
        let (again, second) = roll.enter(1);
        assert_eq!(again, place);
        second.passed(Direction::Upstream, 4, at(4));
        assert_eq!(looked(&roll, 5, at(5)), [(1, 4)]);
    }
}
