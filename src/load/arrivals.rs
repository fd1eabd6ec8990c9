use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::event::{Fact, Name, Outcome, Recorder, Sample};
use crate::units::Moment;

/// Arrivals that may be under way at once. Beyond it they are recorded and not begun, so that a
/// server that never answers costs memory within bounds.
const IN_FLIGHT_LIMIT: usize = 10_000;

/// Begins one task at every point of a fixed grid until `stop`, then waits for those under way.
///
/// The grid starts now, with `every` above zero between its points. A task gets the ordinal of its
/// arrival and the moment at which it should begin; it never delays the next. An arrival that
/// comes late, because this thread was busy, is begun late and not left out. Not cancel safe:
/// dropping it leaves begun tasks running.
pub(crate) async fn arrivals<F>(
    source: &Name,
    every: Duration,
    recorder: &Recorder,
    stop: &CancellationToken,
    mut begin: impl FnMut(u64, Moment) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let clock = recorder.clock();
    let start = clock.now();
    let tasks = TaskTracker::new();
    for ordinal in 0.. {
        let intended = start + multiple(every, ordinal);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = tokio::time::sleep_until(clock.instant(intended).into()) => {}
        }
        if tasks.len() < IN_FLIGHT_LIMIT {
            tasks.spawn(begin(ordinal, intended));
        } else {
            recorder.record(not_begun(source, intended, clock.now()));
        }
    }
    tasks.close();
    tasks.wait().await;
}

fn multiple(every: Duration, times: u64) -> Duration {
    let nanos = every.as_nanos().saturating_mul(times.into());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn not_begun(source: &Name, intended: Moment, now: Moment) -> Fact {
    Fact::Sample(Sample {
        source: source.clone(),
        intended,
        sent: now,
        done: now,
        outcome: Outcome::Broken {
            why: format!("not sent: {IN_FLIGHT_LIMIT} requests were under way (generator limit)"),
        },
        digest: None,
    })
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
        let mut begun = 0;
        let generator = arrivals(&name, Duration::from_nanos(1), &recorder, &stop, |_, _| {
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
        let Some(Fact::Sample(sample)) = first.map(|event| event.fact) else {
            panic!("not a sample");
        };
        assert!(
            matches!(sample.outcome, Outcome::Broken { why } if why.contains("generator limit"))
        );
    }
}
