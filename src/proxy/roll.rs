//! The open connections of a proxy, and what each has carried: readable at any time.
//!
//! A connection keeps a [`Card`], which it alone writes, with plain stores. The lock of a [`Roll`]
//! is taken where a connection begins or ends and by the reader, never to count.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use slab::Slab;

use super::stats::add;
use crate::event::{Awaited, Carried, Name, OpenConnection, Wait};
use crate::fault::Direction;
use crate::units::Moment;

/// From here on a connection is said to wait: what takes less is how a slow answer, or a fault that
/// delays, looks.
const WAITS: Duration = Duration::from_secs(1);

/// What one connection has carried. An idle connection pays for every field.
#[derive(Debug)]
pub(super) struct Card {
    conn: u64,
    bytes: [AtomicU64; 2],
    chunks: [AtomicU64; 2],
    /// When bytes were last passed on, each way; [`Moment::ZERO`] if none ever were.
    active: [AtomicU64; 2],
    /// Since when a fault holds something back; [`Moment::MAX`] if none does.
    held_since: AtomicU64,
    /// For how long faults did, in nanoseconds, and until when that is counted, each way.
    held: AtomicU64,
    held_until: [AtomicU64; 2],
    faults: Names,
}

impl Card {
    fn new(conn: u64) -> Self {
        Self {
            conn,
            bytes: Default::default(),
            chunks: Default::default(),
            active: Default::default(),
            held_since: AtomicU64::new(Moment::MAX.as_nanos()),
            held: AtomicU64::new(0),
            held_until: Default::default(),
            faults: Names::default(),
        }
    }

    /// Bytes were passed on in one piece.
    pub(super) fn passed(&self, direction: Direction, bytes: u64, now: Moment) {
        add(&self.bytes[direction as usize], bytes);
        add(&self.chunks[direction as usize], 1);
        self.active[direction as usize].store(now.as_nanos(), Relaxed);
    }

    /// When bytes were last passed on, either way; [`Moment::ZERO`] if none ever were.
    pub(super) fn active(&self) -> Moment {
        self.active_ways().into_iter().max().unwrap_or_default()
    }

    fn active_ways(&self) -> [Moment; 2] {
        let read = |nanos: &AtomicU64| Moment::from_nanos(nanos.load(Relaxed));
        self.active.each_ref().map(read)
    }

    /// Faults held something back that went this way; what overlaps counts once.
    pub(super) fn held(&self, direction: Direction, from: Moment, until: Moment) {
        let counted = &self.held_until[direction as usize];
        let (from, until) = (from.as_nanos().max(read(counted)), until.as_nanos());
        if until > from {
            add(&self.held, until - from);
            counted.store(until, Relaxed);
        }
    }

    /// Since when faults hold something back now.
    pub(super) fn holds(&self, since: Option<Moment>) {
        let since = since.unwrap_or(Moment::MAX);
        self.held_since.store(since.as_nanos(), Relaxed);
    }

    /// A fault hit the connection.
    pub(super) fn hit(&self, fault: &Name) {
        self.faults.add(fault);
    }

    /// What it has carried so far.
    pub(super) fn carried(&self) -> Carried {
        let [bytes_upstream, bytes_downstream] = self.bytes.each_ref().map(read);
        let [chunks_upstream, chunks_downstream] = self.chunks.each_ref().map(read);
        Carried {
            bytes_upstream,
            bytes_downstream,
            chunks_upstream,
            chunks_downstream,
            active: Some(self.active()).filter(|at| *at > Moment::ZERO),
            held: Duration::from_nanos(read(&self.held)),
            faults: self.faults.all(),
        }
    }

    /// What it waits for.
    fn waits(&self, now: Moment) -> Option<Wait> {
        let [asked, answered] = self.active_ways();
        let fault = Wait {
            on: Awaited::Fault,
            since: Moment::from_nanos(read(&self.held_since)),
        };
        let answer = (asked > answered).then_some(Wait {
            on: Awaited::Answer,
            since: asked,
        });
        let mut waits = [Some(fault), answer].into_iter().flatten();
        waits.find(|wait| now.since(wait.since) >= WAITS)
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// Names that are added to by one thread and read by any, without a lock: each is followed by the
/// next.
#[derive(Debug, Default)]
struct Names(OnceLock<Box<(Name, Names)>>);

impl Names {
    /// Adds a name, unless it is there.
    fn add(&self, name: &Name) {
        let mut end = self;
        while let Some(entry) = end.0.get() {
            if entry.0 == *name {
                return;
            }
            end = &entry.1;
        }
        end.0
            .get_or_init(|| Box::new((name.clone(), Self::default())));
    }

    fn all(&self) -> Vec<Name> {
        let entries = std::iter::successors(self.0.get(), |entry| entry.1.0.get());
        entries.map(|entry| entry.0.clone()).collect()
    }
}

/// So many connections are looked at before others may open or close.
const AT_ONCE: usize = 256;

/// The open connections of one proxy.
#[derive(Debug, Default)]
pub(super) struct Roll(Mutex<Slab<Entry>>);

#[derive(Debug)]
struct Entry {
    card: Arc<Card>,
    /// Bytes that it had carried when somebody looked last.
    seen: u64,
}

impl Roll {
    /// Puts a connection on the roll: where, and the card that it keeps.
    pub(super) fn enter(&self, conn: u64) -> (usize, Arc<Card>) {
        let card = Arc::new(Card::new(conn));
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
    pub(super) fn worth_a_look(&self, most: usize, now: Moment) -> Vec<OpenConnection> {
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
    card: Arc<Card>,
}

impl Candidate {
    fn new(entry: &mut Entry, now: Moment) -> Self {
        let carried = entry.card.bytes.iter().map(read).sum();
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
            conn: self.card.conn,
            moved: self.rank.1,
            waits: self.waits,
            carried: self.card.carried(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    /// The ordinals of what is worth a look, with what was moved.
    fn looked(roll: &Roll, most: usize, now: Moment) -> Vec<(u64, u64)> {
        let found = roll.worth_a_look(most, now).into_iter();
        found.map(|one| (one.conn, one.moved)).collect()
    }

    #[test]
    fn who_waits_longest_comes_first_and_then_who_moved_most_since_the_last_look() {
        let roll = Roll::default();
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
        let roll = Roll::default();
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
    fn a_connection_waits_for_what_a_fault_holds_or_for_an_answer_from_a_second_on() {
        let (_, card) = Roll::default().enter(0);
        assert_eq!(card.waits(at(9000)), None, "nobody asked for anything");
        card.passed(Direction::Upstream, 1, at(1000));
        assert_eq!(card.waits(at(1999)), None);
        let answer = Wait {
            on: Awaited::Answer,
            since: at(1000),
        };
        assert_eq!(card.waits(at(2000)), Some(answer));
        card.holds(Some(at(3000)));
        let fault = Wait {
            on: Awaited::Fault,
            since: at(3000),
        };
        assert_eq!(card.waits(at(3999)), Some(answer));
        assert_eq!(card.waits(at(4000)), Some(fault));
        card.holds(None);
        card.passed(Direction::Downstream, 1, at(5000));
        assert_eq!(card.waits(at(9000)), None);
    }

    #[test]
    fn who_has_left_is_seen_no_more_and_its_place_begins_anew() {
        let roll = Roll::default();
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

    #[test]
    fn a_card_counts_what_overlaps_and_each_fault_once() {
        let (_, card) = Roll::default().enter(0);
        assert_eq!(card.carried(), Carried::default());
        card.passed(Direction::Upstream, 3, at(1));
        card.passed(Direction::Upstream, 4, at(5));
        card.passed(Direction::Downstream, 9, at(2));
        for (from, until) in [(10, 40), (15, 60), (20, 30), (100, 105)] {
            card.held(Direction::Upstream, at(from), at(until));
        }
        card.held(Direction::Downstream, at(10), at(30));
        let faults: [Name; 2] = ["loss".into(), "slow".into()];
        for fault in [&faults[0], &faults[1], &faults[0]] {
            card.hit(fault);
        }
        let carried = Carried {
            bytes_upstream: 7,
            bytes_downstream: 9,
            chunks_upstream: 2,
            chunks_downstream: 1,
            active: Some(at(5)),
            held: Duration::from_millis(50 + 5 + 20),
            faults: faults.into(),
        };
        assert_eq!(card.carried(), carried);
    }
}
