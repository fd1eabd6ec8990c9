use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keys::phase;
use crate::event::{Fact, Name, Recorder, Shortfall};
use crate::units::Moment;

/// Arrivals that may be under way at once. Beyond it they are left out, so that a server that never
/// answers costs memory within bounds.
const IN_FLIGHT_LIMIT: usize = if cfg!(test) { 100 } else { 10_000 };

/// Arrivals that are late by more than this, or by more than the time between two, are left out: sent
/// as one burst, they would not be the load of the scenario.
const CATCH_UP: Duration = Duration::from_millis(50);

/// How long a count of left-out arrivals may wait to be recorded.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// The points at which a source should send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    /// The time between two of them, above zero.
    every: Duration,
    /// From the start of the source to the first.
    phase: Duration,
}

impl Grid {
    /// The grid of a source: where it begins depends on its name and the seed of the run.
    pub(crate) fn of(source: &str, every: Duration, seed: u64) -> Self {
        let phase = phase(seed, source, every);
        Self { every, phase }
    }
}

/// Begins one task at every point of a grid until `stop`, then waits for those under way.
///
/// A task gets the ordinal of its
/// arrival and the moment at which it should begin; it never delays the next. An arrival that
/// comes a little late, because this thread was busy, is begun late; what is left out, see
/// [`CATCH_UP`] and [`IN_FLIGHT_LIMIT`], is recorded. Not cancel safe: dropping it leaves begun
/// tasks running.
pub(crate) async fn arrivals<F>(
    source: &Name,
    grid: Grid,
    recorder: &Recorder,
    stop: &CancellationToken,
    mut begin: impl FnMut(u64, Moment) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let clock = recorder.clock();
    let start = clock.now() + grid.phase;
    let tasks = TaskTracker::new();
    let mut left_out = LeftOut::new(source, recorder);
    for ordinal in 0.. {
        let intended = start + multiple(grid.every, ordinal);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(clock.instant(intended).into()) => {}
        }
        if clock.now().since(intended) > grid.every.max(CATCH_UP) {
            left_out.add(Reason::Overdue, intended);
        } else if tasks.len() >= IN_FLIGHT_LIMIT {
            left_out.add(Reason::TooManyInFlight, intended);
        } else {
            left_out.report();
            tasks.spawn(begin(ordinal, intended));
        }
    }
    left_out.report();
    tasks.close();
    tasks.wait().await;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Overdue,
    TooManyInFlight,
}

/// Arrivals that were left out for one reason and are not recorded yet.
struct LeftOut<'a> {
    source: &'a Name,
    recorder: &'a Recorder,
    reason: Reason,
    since: Moment,
    /// When the first of them was left out.
    noticed: Moment,
    count: u64,
}

impl<'a> LeftOut<'a> {
    const fn new(source: &'a Name, recorder: &'a Recorder) -> Self {
        Self {
            source,
            recorder,
            reason: Reason::Overdue,
            since: Moment::ZERO,
            noticed: Moment::ZERO,
            count: 0,
        }
    }

    fn add(&mut self, reason: Reason, intended: Moment) {
        let now = self.recorder.clock().now();
        let waits = now.since(self.noticed) > REPORT_EVERY;
        if self.reason != reason || (self.count > 0 && waits) {
            self.report();
        }
        if self.count == 0 {
            (self.reason, self.since, self.noticed) = (reason, intended, now);
        }
        self.count += 1;
    }

    fn report(&mut self) {
        let (source, since) = (self.source.clone(), self.since);
        let count = std::mem::take(&mut self.count);
        let what = match self.reason {
            _ if count == 0 => return,
            Reason::Overdue => Shortfall::Overdue { source, count },
            Reason::TooManyInFlight => Shortfall::TooManyInFlight { source, count },
        };
        self.recorder.record(Fact::Shortfall { since, what });
    }
}

fn multiple(every: Duration, times: u64) -> Duration {
    let nanos = every.as_nanos().saturating_mul(times.into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::bus;
    use crate::units::Clock;

    #[tokio::test]
    async fn arrivals_beyond_the_limit_are_recorded_and_not_begun() {
        let (recorder, mut stream) = bus(Clock::start());
        let stop = CancellationToken::new();
        let released = CancellationToken::new();
        let name: Name = "w".into();
        let grid = Grid::of(&name, Duration::from_nanos(1), 0);
        let mut begun = 0;
        let generator = arrivals(&name, grid, &recorder, &stop, |_, _| {
            begun += 1;
            let released = released.clone();
            async move { released.cancelled().await }
        });
        let watcher = async {
            let first = stream.next().await;
            stop.cancel();
            released.cancel();
            first
        };
        let ((), first) = tokio::join!(generator, watcher);
        assert_eq!(begun, IN_FLIGHT_LIMIT);
        let Some(Fact::Shortfall { what, .. }) = first.map(|event| event.fact) else {
            panic!("nothing was recorded");
        };
        assert!(
            matches!(what, Shortfall::TooManyInFlight { count: 1.., .. }),
            "{what:?}"
        );
    }

    #[tokio::test]
    async fn what_came_due_while_this_thread_stood_still_is_left_out_and_no_burst() {
        const EVERY: Duration = Duration::from_millis(5);
        const STILL: Duration = Duration::from_millis(400);
        let (recorder, mut stream) = bus(Clock::start());
        let stop = CancellationToken::new();
        let (name, mut late): (Name, u32) = ("w".into(), 0);
        let grid = Grid::of(&name, EVERY, 0);
        let generator = arrivals(&name, grid, &recorder, &stop, |ordinal, intended| {
            while ordinal == 0 && recorder.clock().now().since(intended) < STILL {}
            late += u32::from(recorder.clock().now().since(intended) > EVERY);
            std::future::ready(())
        });
        let watcher = async {
            let first = stream.next().await;
            stop.cancel();
            first
        };
        let ((), first) = tokio::join!(generator, watcher);
        let Some(Fact::Shortfall { what, since }) = first.map(|event| event.fact) else {
            panic!("nothing was recorded");
        };
        assert!(
            matches!(what, Shortfall::Overdue { count: 60.., .. }),
            "{what:?} since {since}"
        );
        assert!(late <= 1 + 11, "{late} were begun at once");
    }
}
