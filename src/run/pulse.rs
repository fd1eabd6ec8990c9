use std::time::Duration;

use tokio::task::JoinHandle;

use crate::event::{Fact, Recorder, Shortfall};
use crate::units::Moment;

/// Time between two looks at the clock.
const EVERY: Duration = Duration::from_millis(100);
/// A look that comes later than this tells that chaosproxy stood still.
const LATE: Duration = Duration::from_millis(500);

/// Records when chaosproxy itself stood still: it was stopped, or got no processor.
pub(super) fn watch(recorder: Recorder) -> JoinHandle<()> {
    let clock = recorder.clock();
    tokio::spawn(async move {
        loop {
            let before = clock.now();
            tokio::time::sleep(EVERY).await;
            let now = clock.now();
            if let Some(since) = still_since(before, now) {
                let what = Shortfall::StoodStill;
                recorder.record_at(now, Fact::Shortfall { since, what });
            }
        }
    })
}

/// Since when nothing went on, if the look that was due [`EVERY`] after `before` came too late.
fn still_since(before: Moment, now: Moment) -> Option<Moment> {
    let due = before + EVERY;
    (now.since(due) > LATE).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_comes_much_too_late_tells_since_when() {
        let before = Moment::ZERO + Duration::from_secs(3);
        let due = before + EVERY;
        assert_eq!(still_since(before, due + LATE), None);
        let later = due + LATE + Duration::from_millis(1);
        assert_eq!(still_since(before, later), Some(due));
    }
}
