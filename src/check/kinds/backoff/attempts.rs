//! The attempts of an outage, and the waits between them.

use std::collections::BTreeMap;

use crate::check::{Attempt, Client, History, show};
use crate::units::Moment;

/// The attempts that began within `window`, in order.
pub(super) fn seen<'a>(
    history: &'a History,
    proxy: &str,
    (from, to): (Moment, Moment),
) -> &'a [Attempt] {
    let all = history.attempts(proxy);
    let first = all.partition_point(|attempt| attempt.start < from);
    let last = all.partition_point(|attempt| attempt.start <= to);
    &all[first..last.max(first)]
}

/// The attempts of each client that can be told apart.
pub(super) fn by_client(attempts: &[Attempt]) -> BTreeMap<&Client, Vec<&Attempt>> {
    let mut lanes: BTreeMap<&Client, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        lanes.entry(&attempt.client).or_default().push(attempt);
    }
    lanes
}

/// The waits of one loop, in seconds: from the failure of each attempt to the start of the next.
/// Negative if the next began before the failure, as when loops interleave. The wait after the last
/// attempt is incomplete and left out.
pub(super) fn gaps(lane: &[&Attempt]) -> Vec<f64> {
    lane.windows(2)
        .filter_map(|pair| Some(pair[1].start.seconds_from(pair[0].failed?)))
        .collect()
}

/// The first gaps, and how many more there are.
pub(super) fn listed(gaps: &[f64]) -> String {
    const LISTED: usize = 12;
    let first = gaps.iter().take(LISTED);
    let first: Vec<String> = first.map(|gap| show::seconds(*gap)).collect();
    let first = first.join(", ");
    match gaps.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_not_listed_attempt_by_attempt() {
        assert_eq!(listed(&[0.5, 1.0]), "500 ms, 1 s");
        let storm = listed(&[0.1; 300]);
        assert_eq!(storm.matches("100 ms").count(), 12);
        assert!(storm.ends_with("100 ms and 288 more"), "{storm}");
    }
}
