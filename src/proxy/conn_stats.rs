//! What one connection has carried and waits for. Only the connection writes it, with plain stores;
//! anyone may read it at any time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::stats::add;
use crate::event::{Awaited, Carried, Name, Wait};
use crate::fault::Direction;
use crate::units::Moment;

/// A connection that waits for less than this is not shown as waiting: slow answers and faults that
/// delay look the same.
const WAITS: Duration = Duration::from_secs(1);

/// What a connection may wait for, the most specific first. That it waits for an answer follows from
/// what it passed on.
const AWAITED: [Awaited; 4] = [
    Awaited::Fault,
    Awaited::Dial,
    Awaited::Client,
    Awaited::Server,
];

/// The peer that takes what goes in this direction.
const fn taker(direction: Direction) -> Awaited {
    match direction {
        Direction::Upstream => Awaited::Server,
        Direction::Downstream => Awaited::Client,
    }
}

/// What one connection has carried. An idle connection pays for every field.
#[derive(Debug)]
pub(super) struct ConnStats {
    conn: u64,
    bytes: [AtomicU64; 2],
    chunks: [AtomicU64; 2],
    /// When bytes were last passed on, each way; [`Moment::ZERO`] if none ever were.
    active: [AtomicU64; 2],
    /// Since when it waits for each of [`AWAITED`]; [`Moment::MAX`] where it does not.
    waits: [AtomicU64; AWAITED.len()],
    /// For how long faults held something back, in nanoseconds, and until when that is counted, each way.
    held: AtomicU64,
    held_until: [AtomicU64; 2],
    faults: Names,
    /// When the client ended its part; [`Moment::MAX`] if it has not.
    client_left: AtomicU64,
}

impl ConnStats {
    pub(super) fn new(conn: u64) -> Self {
        Self {
            conn,
            bytes: Default::default(),
            chunks: Default::default(),
            active: Default::default(),
            waits: AWAITED.map(|_| AtomicU64::new(Moment::MAX.as_nanos())),
            held: AtomicU64::new(0),
            held_until: Default::default(),
            faults: Names::default(),
            client_left: AtomicU64::new(Moment::MAX.as_nanos()),
        }
    }

    /// Its ordinal at the proxy.
    pub(super) const fn conn(&self) -> u64 {
        self.conn
    }

    /// Bytes that it has carried, both ways.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.iter().map(read).sum()
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
        self.note(Awaited::Fault, since);
    }

    /// Since when the server is being dialled.
    pub(super) fn dials(&self, since: Option<Moment>) {
        self.note(Awaited::Dial, since);
    }

    /// The peer takes nothing of what goes in `direction`: since `now`, if not for longer.
    pub(super) fn stalls(&self, direction: Direction, now: Moment) {
        let since = &self.waits[taker(direction) as usize];
        since.store(read(since).min(now.as_nanos()), Relaxed);
    }

    /// The peer takes something of what goes in `direction`.
    pub(super) fn flows(&self, direction: Direction) {
        self.note(taker(direction), None);
    }

    fn note(&self, on: Awaited, since: Option<Moment>) {
        let since = since.unwrap_or(Moment::MAX);
        self.waits[on as usize].store(since.as_nanos(), Relaxed);
    }

    /// A fault hit the connection.
    pub(super) fn hit(&self, fault: &Name) {
        self.faults.add(fault);
    }

    /// The client has ended its part; only the first time counts.
    pub(super) fn client_left(&self, now: Moment) {
        let left = read(&self.client_left).min(now.as_nanos());
        self.client_left.store(left, Relaxed);
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
            client_left: Some(Moment::from_nanos(read(&self.client_left)))
                .filter(|at| *at < Moment::MAX),
        }
    }

    /// What it waits for.
    pub(super) fn waits(&self, now: Moment) -> Option<Wait> {
        let [asked, answered] = self.active_ways();
        let shown = AWAITED.into_iter().map(|on| Wait {
            on,
            since: Moment::from_nanos(read(&self.waits[on as usize])),
        });
        let answer = (asked > answered).then_some(Wait {
            on: Awaited::Answer,
            since: asked,
        });
        shown
            .chain(answer)
            .find(|wait| now.since(wait.since) >= WAITS)
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Relaxed)
}

/// A linked list of names: one thread adds, any thread reads, without a lock.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_connection_waits_for_what_a_fault_holds_or_for_an_answer_from_a_second_on() {
        let stats = ConnStats::new(0);
        assert_eq!(stats.waits(at(9000)), None, "nothing was asked");
        stats.passed(Direction::Upstream, 1, at(1000));
        assert_eq!(stats.waits(at(1999)), None);
        let answer = Wait {
            on: Awaited::Answer,
            since: at(1000),
        };
        assert_eq!(stats.waits(at(2000)), Some(answer));
        stats.holds(Some(at(3000)));
        let fault = Wait {
            on: Awaited::Fault,
            since: at(3000),
        };
        assert_eq!(stats.waits(at(3999)), Some(answer));
        assert_eq!(stats.waits(at(4000)), Some(fault));
        stats.holds(None);
        stats.passed(Direction::Downstream, 1, at(5000));
        assert_eq!(stats.waits(at(9000)), None);
    }

    #[test]
    fn a_connection_waits_for_a_dial_and_for_a_peer_that_takes_nothing() {
        let stats = ConnStats::new(0);
        let waits = |on, since| {
            let since = at(since);
            Some(Wait { on, since })
        };
        stats.dials(Some(at(1000)));
        assert_eq!(stats.waits(at(2000)), waits(Awaited::Dial, 1000));
        stats.dials(None);
        for (direction, taker) in [
            (Direction::Upstream, Awaited::Server),
            (Direction::Downstream, Awaited::Client),
        ] {
            stats.stalls(direction, at(3000));
            stats.stalls(direction, at(5000));
            assert_eq!(stats.waits(at(3999)), None);
            assert_eq!(
                stats.waits(at(6000)),
                waits(taker, 3000),
                "since the first time"
            );
            stats.flows(direction);
            assert_eq!(stats.waits(at(6000)), None);
        }
    }

    #[test]
    fn what_overlaps_counts_once_and_so_does_each_fault() {
        let stats = ConnStats::new(0);
        assert_eq!(stats.carried(), Carried::default());
        stats.passed(Direction::Upstream, 3, at(1));
        stats.passed(Direction::Upstream, 4, at(5));
        stats.passed(Direction::Downstream, 9, at(2));
        for (from, until) in [(10, 40), (15, 60), (20, 30), (100, 105)] {
            stats.held(Direction::Upstream, at(from), at(until));
        }
        stats.held(Direction::Downstream, at(10), at(30));
        let faults: [Name; 2] = ["loss".into(), "slow".into()];
        for fault in [&faults[0], &faults[1], &faults[0]] {
            stats.hit(fault);
        }
        for moment in [at(7), at(9)] {
            stats.client_left(moment);
        }
        let carried = Carried {
            bytes_upstream: 7,
            bytes_downstream: 9,
            chunks_upstream: 2,
            chunks_downstream: 1,
            active: Some(at(5)),
            held: Duration::from_millis(50 + 5 + 20),
            faults: faults.into(),
            client_left: Some(at(7)),
        };
        assert_eq!(stats.carried(), carried);
    }
}
