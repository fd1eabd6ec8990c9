//! What a proxy carries, counted where it happens and readable at any time.
//!
//! Each worker counts in memory that no other worker writes, and a reader adds up. So counting costs a
//! plain store, and no thread waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::conn_stats::ConnStats;
use super::open_connections::OpenConnections;
use super::pipe::Release;
use crate::event::Spread;
use crate::fault::Direction;
use crate::units::nearest_rank;

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
    /// Pieces in which bytes were passed on to the server.
    pub chunks_upstream: u64,
    /// Pieces in which bytes were passed on to the client.
    pub chunks_downstream: u64,
    /// How long bytes that met no fault stayed here, from the read to the write that the other side
    /// took at once; `None` if none were measured.
    pub own: Option<Spread>,
    /// How long faults held bytes that then left; `None` if they held none.
    pub injected: Option<Spread>,
    /// How much longer those bytes stayed; `None` if all left on time to the nanosecond.
    pub late: Option<Spread>,
}

/// The counts of one proxy.
#[derive(Debug)]
pub(super) struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    /// One for each worker.
    workers: Box<[WorkerCounters]>,
    /// The open ones.
    connections: OpenConnections,
}

/// What one worker has carried for one proxy. Only that worker writes here.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct WorkerCounters {
    bytes: [AtomicU64; 2],
    chunks: [AtomicU64; 2],
    own: Histogram,
    injected: Histogram,
    late: Histogram,
}

/// One in this many pieces of each direction is timed: reading the clock for each would cost more
/// than counting it.
const TIMED: u64 = 16;

impl Counters {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            open: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            workers: (0..workers).map(|_| WorkerCounters::default()).collect(),
            connections: OpenConnections::default(),
        }
    }

    /// Connections that are open now.
    pub(super) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Counts and lists a new connection: its place in the list, and its statistics.
    pub(super) fn enter(&self, conn: u64) -> (usize, Arc<ConnStats>) {
        self.open.fetch_add(1, Relaxed);
        self.accepted.fetch_add(1, Relaxed);
        self.connections.enter(conn)
    }

    /// The connection at this place is no longer open.
    pub(super) fn leave(&self, place: usize) {
        self.open.fetch_sub(1, Relaxed);
        self.connections.leave(place);
    }

    /// The counters of a worker.
    pub(super) fn worker(&self, worker: usize) -> &WorkerCounters {
        &self.workers[worker]
    }

    /// The list of open connections.
    pub(super) const fn connections(&self) -> &OpenConnections {
        &self.connections
    }

    pub(super) fn snapshot(&self) -> Stats {
        let sum = |counter: fn(&WorkerCounters) -> &AtomicU64| {
            let each = self.workers.iter().map(counter);
            each.map(|counter| counter.load(Relaxed)).sum()
        };
        Stats {
            open: self.open(),
            accepted: self.accepted.load(Relaxed),
            bytes_upstream: sum(|worker| &worker.bytes[Direction::Upstream as usize]),
            bytes_downstream: sum(|worker| &worker.bytes[Direction::Downstream as usize]),
            chunks_upstream: sum(|worker| &worker.chunks[Direction::Upstream as usize]),
            chunks_downstream: sum(|worker| &worker.chunks[Direction::Downstream as usize]),
            own: Histogram::sum(self.workers.iter().map(|worker| &worker.own)),
            injected: Histogram::sum(self.workers.iter().map(|worker| &worker.injected)),
            late: Histogram::sum(self.workers.iter().map(|worker| &worker.late)),
        }
    }
}

impl WorkerCounters {
    /// Bytes were passed on in one piece.
    pub(super) fn passed(&self, direction: Direction, bytes: u64) {
        add(&self.bytes[direction as usize], bytes);
        add(&self.chunks[direction as usize], 1);
    }

    /// Whether the next piece is to be timed.
    pub(super) fn times(&self, direction: Direction) -> bool {
        self.chunks[direction as usize]
            .load(Relaxed)
            .is_multiple_of(TIMED)
    }

    /// A piece that met no fault stayed for `time`.
    pub(super) fn own(&self, time: Duration) {
        self.own.count(time);
    }

    /// Bytes that faults had held leave.
    pub(super) fn released(&self, release: &Release) {
        self.injected.count(release.held());
        // Bytes freed by a lift do not count as late.
        if !release.late().is_zero() {
            self.late.count(release.late());
        }
    }
}

/// For a counter with one writer: no other thread can come between the two steps.
pub(super) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// How often something took how long: 16 buckets for each power of two of nanoseconds, so that what
/// is read is at most a sixteenth too high, and never more than the longest. The last bucket, from
/// 76 h on, has no end.
#[derive(Debug)]
struct Histogram {
    buckets: [AtomicU64; Self::BUCKETS],
    longest: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [const { AtomicU64::new(0) }; Self::BUCKETS],
            longest: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    /// Buckets for each power of two, as a power of two.
    const PARTS: u32 = 4;
    const BUCKETS: usize = (48 - Self::PARTS as usize + 1) << Self::PARTS;

    fn count(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        add(&self.buckets[Self::bucket(nanos)], 1);
        if nanos > self.longest.load(Relaxed) {
            self.longest.store(nanos, Relaxed);
        }
    }

    fn bucket(nanos: u64) -> usize {
        // Below the first power that is parted, each nanosecond has a bucket of its own.
        let shift = nanos.max(1).ilog2().saturating_sub(Self::PARTS);
        let bucket = (u64::from(shift) << Self::PARTS) + (nanos >> shift);
        usize::try_from(bucket).map_or(Self::BUCKETS - 1, |bucket| bucket.min(Self::BUCKETS - 1))
    }

    /// The longest time that is counted in a bucket.
    fn last_of(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        let shift = (bucket >> Self::PARTS).saturating_sub(1);
        ((bucket - (shift << Self::PARTS) + 1) << shift) - 1
    }

    fn sum<'a>(all: impl Iterator<Item = &'a Self>) -> Option<Spread> {
        let mut counts = [0_u64; Self::BUCKETS];
        let mut longest = 0;
        for one in all {
            for (count, bucket) in counts.iter_mut().zip(&one.buckets) {
                *count += bucket.load(Relaxed);
            }
            longest = longest.max(one.longest.load(Relaxed));
        }
        let samples: u64 = counts.iter().sum();
        let quantile = |share: f64| {
            let count = usize::try_from(samples).unwrap_or(usize::MAX);
            let (rank, mut seen) = (nearest_rank(count, share) as u64, 0);
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            Duration::from_nanos(found.map_or(longest, Self::last_of).min(longest))
        };
        (samples > 0).then(|| Spread {
            samples,
            p50: quantile(0.5),
            p99: quantile(0.99),
            max: Duration::from_nanos(longest),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Moment;

    #[test]
    fn what_workers_count_is_added_up() {
        let counters = Counters::new(2);
        counters.worker(0).passed(Direction::Upstream, 10);
        counters.worker(1).passed(Direction::Upstream, 5);
        counters.worker(1).passed(Direction::Downstream, 7);
        let stats = counters.snapshot();
        assert_eq!((stats.bytes_upstream, stats.chunks_upstream), (15, 2));
        assert_eq!((stats.bytes_downstream, stats.chunks_downstream), (7, 1));
        assert_eq!((stats.own, stats.injected, stats.late), (None, None, None));
    }

    #[test]
    fn one_piece_in_16_of_each_way_is_timed_the_first_included() {
        let counters = Counters::new(1);
        let worker = counters.worker(0);
        let timed = |_| {
            let due = worker.times(Direction::Upstream);
            worker.passed(Direction::Upstream, 1);
            due
        };
        let timed: Vec<_> = (0..33).map(timed).collect();
        let due = timed.iter().enumerate().filter(|(_, due)| **due);
        let due: Vec<_> = due.map(|(nth, _)| nth).collect();
        assert_eq!(due, [0, 16, 32]);
        assert!(worker.times(Direction::Downstream), "ways count apart");
    }

    #[test]
    fn the_longest_time_is_exact_and_others_are_read_at_most_a_sixteenth_too_high() {
        let times = [
            0,
            1,
            15,
            16,
            17,
            31,
            32,
            100,
            12_345,
            999_999,
            3_000_000_000,
            7_200_000_000_000,
        ];
        for nanos in times {
            let counters = Counters::new(1);
            counters.worker(0).own(Duration::from_nanos(nanos));
            let own = counters.snapshot().own.unwrap();
            assert_eq!(own.p50.as_nanos(), own.max.as_nanos());
            assert_eq!(own.max.as_nanos(), nanos.into());
            counters.worker(0).own(Duration::from_hours(3));
            let read = counters.snapshot().own.unwrap().p50.as_nanos();
            let right = u128::from(nanos)..=u128::from(nanos + nanos / 16);
            assert!(right.contains(&read), "{nanos}: {read}");
        }
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap_and_the_last_takes_what_is_longer() {
        for bucket in 1..Histogram::BUCKETS {
            let first = Histogram::last_of(bucket - 1) + 1;
            assert_eq!(Histogram::bucket(first), bucket);
            assert_eq!(Histogram::bucket(Histogram::last_of(bucket)), bucket);
        }
        assert_eq!(Histogram::bucket(u64::MAX), Histogram::BUCKETS - 1);
    }

    #[test]
    fn what_faults_held_and_what_came_on_top_count_apart() {
        let counters = Counters::new(1);
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let release = |due, left| Release {
            direction: Direction::Upstream,
            arrived: at(10),
            due: at(due),
            left: at(left),
        };
        counters.worker(0).released(&release(74, 76));
        let on_time = release(74, 74);
        counters.worker(0).released(&on_time);
        let stats = counters.snapshot();
        let (injected, late) = (stats.injected.unwrap(), stats.late.unwrap());
        assert_eq!((injected.samples, late.samples), (2, 1));
        let about = |read: Duration, ms: u64| {
            let real = Duration::from_millis(ms);
            read >= real && read <= real * 17 / 16
        };
        assert!(about(injected.p50, 64) && about(late.max, 2), "{stats:?}");
    }

    #[test]
    fn percentiles_are_nearest_ranks_over_all_workers() {
        let counters = Counters::new(2);
        for micros in 1..=100 {
            let worker = usize::from(micros % 3 == 0);
            counters.worker(worker).own(Duration::from_micros(micros));
        }
        let own = counters.snapshot().own.unwrap();
        assert_eq!(own.samples, 100);
        let about = |read: Duration, micros: u64| {
            read >= Duration::from_micros(micros) && read <= Duration::from_micros(micros) * 17 / 16
        };
        assert!(
            about(own.p50, 50) && about(own.p99, 99) && about(own.max, 100),
            "{own:?}"
        );
    }
}
