//! Dials that failed: why a proxy had nobody to pass its clients on to.

use std::collections::BTreeMap;

use crate::event::{ClosedBy, Event, Fact, Name};
use crate::units::Moment;

/// A sentence for each proxy whose upstream could not be reached in a window of a run.
pub(super) fn failed(events: &[Event], (from, to): (Moment, Moment)) -> Vec<String> {
    let mut failed: BTreeMap<&Name, (u64, &str)> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| (from..=to).contains(&event.at))
    {
        if let Fact::ConnectionClosed {
            proxy,
            cause: ClosedBy::Dial(why),
            ..
        } = &event.fact
        {
            let (count, last) = failed.entry(proxy).or_default();
            (*count, *last) = (*count + 1, why);
        }
    }
    let failed = failed.into_iter();
    let words = failed.map(|(proxy, (count, why))| unreached(proxy, count, why));
    words.collect()
}

/// What to tell of a proxy whose upstream could not be reached so often, the last time for this
/// reason.
pub fn unreached(proxy: &str, count: u64, why: &str) -> String {
    let dials = crate::check::plural(count, "dial");
    format!("proxy `{proxy}` could not reach its upstream: {dials} failed, the last: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_failed_dials_of_a_window_are_counted_and_the_last_is_told() {
        let closed = |ms: u64, proxy: &str, cause| Event {
            at: Moment::from_nanos(ms * 1_000_000),
            fact: Fact::ConnectionClosed {
                proxy: proxy.into(),
                conn: ms,
                cause,
                carried: Box::default(),
            },
        };
        let dial = |why: &str| ClosedBy::Dial(why.to_owned());
        let events = [
            closed(1, "db", dial("before")),
            closed(2, "web", dial("refused")),
            closed(3, "db", dial("no answer")),
            closed(4, "db", ClosedBy::Client),
            closed(5, "db", dial("refused")),
            closed(6, "db", dial("after")),
        ];
        let window = [2, 5].map(|ms| Moment::from_nanos(ms * 1_000_000));
        assert_eq!(
            failed(&events, window.into()),
            [
                "proxy `db` could not reach its upstream: 2 dials failed, the last: refused",
                "proxy `web` could not reach its upstream: 1 dial failed, the last: refused",
            ]
        );
    }
}
