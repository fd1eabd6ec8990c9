//! The attempts of an outage, and the waits between them.

use std::collections::BTreeMap;
use std::time::Duration;

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
/// None if the next began before the failure. The wait after the last attempt is incomplete and left
/// out.
pub(super) fn gaps(lane: &[&Attempt]) -> Vec<f64> {
    lane.windows(2)
        .filter_map(|pair| Some(pair[1].start.since(pair[0].failed?).as_secs_f64()))
        .collect()
}

/// The attempts that began more than `tolerance` before the one before them had failed: one loop makes
/// one at a time. A failure may be recorded after its client has heard of it.
pub(super) fn overlaps(lane: &[&Attempt], tolerance: Duration) -> u64 {
    let begun = lane.windows(2).filter(|pair| {
        let failed = pair[0].failed;
        failed.is_some_and(|failed| failed.since(pair[1].start) > tolerance)
    });
    begun.count() as u64
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
