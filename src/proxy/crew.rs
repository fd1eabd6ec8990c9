//! How connections are shared out among the workers.
//!
//! As few workers carry them as have the time: one thread that is woken for several connections at
//! once costs the machine less than several threads that are each woken for one. A worker that
//! rests too little hands connections to one that rests more, so many that both rest alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crate::units::Moment;

/// So many connections are carried by one worker before the next one gets any. More than this are
/// shared out evenly: a change of faults has to reach them all at once.
const FEW: usize = 64;

/// What is known of a worker is forgotten after this time: one that rests tells nothing.
const STALE: Duration = Duration::from_millis(100);

/// What the workers know of each other.
#[derive(Debug, Clone)]
pub(super) struct Crew(Arc<[Gauge]>);

/// One worker, as the others see it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Gauge {
    connections: AtomicUsize,
    busy: AtomicU64,
    /// When it said last how busy it is.
    told: AtomicU64,
}

/// The part of the time that a worker does not rest, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Busy(u64);

impl Busy {
    pub(super) const NOT: Self = Self(0);
    pub(super) const ALWAYS: Self = Self(1000);
    /// A worker that rests less is to give connections away, and takes no further ones while another
    /// one can: waiting for each other then costs them more than is saved.
    pub(super) const TOO: Self = Self(600);
    /// A worker that rests less takes none over.
    const RATHER: Self = Self(400);

    /// How many of `connections` that keep a worker this busy another one is to take, so that both are
    /// as busy afterwards.
    pub(super) fn surplus(self, other: Self, connections: usize) -> usize {
        let share = self.0.saturating_sub(other.0) * connections as u64 / (2 * self.0.max(1));
        usize::try_from(share).unwrap_or(connections)
    }

    /// `busy` of `time`.
    pub(super) fn of(busy: Duration, time: Duration) -> Self {
        let thousandths = busy.as_nanos() * 1000 / time.as_nanos().max(1);
        u64::try_from(thousandths).map_or(Self::ALWAYS, |busy| Self(busy).min(Self::ALWAYS))
    }
}

/// One connection's part of what a worker carries, until dropped.
#[derive(Debug)]
pub(super) struct Load {
    crew: Crew,
    worker: usize,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.crew.0[self.worker].connections.fetch_sub(1, Relaxed);
    }
}

impl Crew {
    pub(super) fn new(workers: usize) -> Self {
        Self((0..workers).map(|_| Gauge::default()).collect())
    }

    /// Counts a connection as carried by `worker`.
    pub(super) fn load(&self, worker: usize) -> Load {
        self.0[worker].connections.fetch_add(1, Relaxed);
        Load {
            crew: self.clone(),
            worker,
        }
    }

    /// Connections that all workers carry.
    pub(super) fn connections(&self) -> usize {
        self.workers().map(|worker| self.carried(worker)).sum()
    }

    /// Who is to carry the next connection.
    pub(super) fn place(&self, now: Moment) -> usize {
        let has_time =
            |worker: &usize| self.carried(*worker) < FEW && self.busy(*worker, now) < Busy::TOO;
        let least_loaded = || self.workers().min_by_key(|worker| self.carried(*worker));
        let place = self.workers().find(has_time).or_else(least_loaded);
        place.expect("a pool has at least one worker")
    }

    /// Who can take connections over, and how busy it is.
    pub(super) fn reserve(&self, now: Moment) -> Option<(usize, Busy)> {
        let workers = self
            .workers()
            .map(|worker| (worker, self.busy(worker, now)));
        let idlest = workers.min_by_key(|(_, busy)| *busy);
        idlest.filter(|(_, busy)| *busy < Busy::RATHER)
    }

    /// A worker says how busy it was just now.
    pub(super) fn tell(&self, worker: usize, busy: Busy, now: Moment) {
        self.0[worker].busy.store(busy.0, Relaxed);
        self.0[worker].told.store(now.as_nanos(), Relaxed);
    }

    fn busy(&self, worker: usize, now: Moment) -> Busy {
        let gauge = &self.0[worker];
        let told = Moment::from_nanos(gauge.told.load(Relaxed));
        if now.since(told) > STALE {
            Busy::NOT
        } else {
            Busy(gauge.busy.load(Relaxed))
        }
    }

    fn carried(&self, worker: usize) -> usize {
        self.0[worker].connections.load(Relaxed)
    }

    fn workers(&self) -> std::ops::Range<usize> {
        0..self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment::from_nanos(1_000_000_000);

    fn loads(crew: &Crew, count: usize) -> Vec<(usize, Load)> {
        let arrivals = (0..count).map(|_| {
            let place = crew.place(NOW);
            (place, crew.load(place))
        });
        arrivals.collect()
    }

    #[test]
    fn a_few_connections_share_one_worker_and_many_are_spread_evenly() {
        let crew = Crew::new(3);
        let loads = loads(&crew, 300);
        let first = loads.iter().take(FEW).filter(|(place, _)| *place == 0);
        assert_eq!(first.count(), FEW);
        assert_eq!([0, 1, 2].map(|worker| crew.carried(worker)), [100; 3]);
        assert_eq!(crew.connections(), 300);
        drop(loads);
        assert_eq!(crew.connections(), 0);
    }

    #[test]
    fn a_busy_worker_gets_no_further_connection_while_another_has_time() {
        let crew = Crew::new(2);
        crew.tell(0, Busy::TOO, NOW);
        assert_eq!(crew.place(NOW), 1);
        crew.tell(1, Busy::ALWAYS, NOW);
        let _first = crew.load(1);
        assert_eq!(crew.place(NOW), 0, "the least loaded of busy workers");
        let later = NOW + STALE + Duration::from_nanos(1);
        crew.tell(1, Busy::ALWAYS, later);
        assert_eq!(crew.place(later), 0, "who says nothing rests");
    }

    #[test]
    fn connections_are_handed_to_the_worker_with_most_time_if_it_has_enough() {
        let crew = Crew::new(3);
        crew.tell(0, Busy::ALWAYS, NOW);
        crew.tell(1, Busy(350), NOW);
        crew.tell(2, Busy(300), NOW);
        assert_eq!(crew.reserve(NOW), Some((2, Busy(300))));
        crew.tell(2, Busy::RATHER, NOW);
        crew.tell(1, Busy(401), NOW);
        assert_eq!(crew.reserve(NOW), None);
    }

    #[test]
    fn as_many_connections_are_handed_on_as_even_two_workers_out() {
        assert_eq!(Busy::ALWAYS.surplus(Busy::NOT, 9), 4);
        assert_eq!(Busy(900).surplus(Busy(300), 9), 3);
        assert_eq!(Busy(610).surplus(Busy(390), 4), 0, "they are even enough");
        assert_eq!(Busy(300).surplus(Busy(900), 9), 0);
        assert_eq!(Busy::NOT.surplus(Busy::NOT, 9), 0);
    }

    #[test]
    fn busy_is_a_part_of_the_time_and_at_most_all_of_it() {
        let ms = Duration::from_millis;
        assert_eq!(Busy::of(ms(6), ms(10)), Busy::TOO);
        assert_eq!(Busy::of(ms(30), ms(10)), Busy::ALWAYS);
        assert_eq!(Busy::of(ms(0), ms(10)), Busy::NOT);
    }
}
