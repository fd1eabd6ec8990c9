//! What a backoff predicts for the time after an outage.

use super::{Params, attempts};
use crate::check::{FaultBrief, History, Occurrence};
use crate::event::Name;
use crate::units::Moment;

/// A client that waits when the outage ends tries again only when its wait is over: the longest
/// wait that can straddle that end, and the time that an attempt took at most, in seconds.
///
/// The waits are those that a `backoff` check declares for the fault or, without one for it, for a
/// proxy that it acts on; without any, they are extrapolated from the last two that were seen. `None`
/// if nothing is known of the client's waits.
pub fn longest_wait(history: &History, fault: &FaultBrief, occurrence: &Occurrence) -> Option<f64> {
    let lifted = history.lifted(occurrence);
    let outage = (occurrence.inject, lifted);
    let declared = declared(history, fault);
    let proxy = declared
        .as_ref()
        .map_or(&fault.proxy, |params| &params.proxy);
    let attempts = attempts::seen(history, proxy, outage);
    let took = attempts.iter().filter_map(|attempt| {
        let failed = attempt.failed.filter(|failed| *failed <= lifted)?;
        Some(failed.seconds_from(attempt.start))
    });
    let took: Vec<f64> = took.collect();
    let (shortest, longest) = (
        took.iter().copied().reduce(f64::min).unwrap_or_default(),
        took.iter().copied().reduce(f64::max).unwrap_or_default(),
    );
    let wait = if let Some(policy) = declared.and_then(|params| params.policy()) {
        let first = attempts.first().map_or(outage.0, |first| first.start);
        policy.under_way(since(first, lifted), shortest)
    } else {
        let gaps = attempts::gaps(&attempts.iter().collect::<Vec<_>>());
        extrapolated(&gaps)?
    };
    Some(wait + longest)
}

/// The parameters of the check that speaks for the client: one of this fault before one of a proxy
/// that it acts on.
fn declared(history: &History, fault: &FaultBrief) -> Option<Params> {
    let checks = history.experiment().checks.iter();
    let backoffs = checks.filter(|spec| spec.kind == "backoff");
    let params = backoffs.filter_map(|spec| {
        let params: Params = serde_json::from_value(spec.params.clone()).ok()?;
        params.base?;
        Some(params)
    });
    let acts_on = |proxy: &Name| fault.proxy.split(", ").any(|name| *name == **proxy);
    let mut params: Vec<Params> = params
        .filter(|params| params.fault == fault.name || acts_on(&params.proxy))
        .collect();
    params.sort_by_key(|params| params.fault != fault.name);
    params.into_iter().next()
}

fn since(from: Moment, to: Moment) -> f64 {
    to.since(from).as_secs_f64()
}

/// The next wait, if it grows as the last two did.
fn extrapolated(gaps: &[f64]) -> Option<f64> {
    match gaps {
        [.., before, last] if *before > 0.0 => Some(last * (last / before).max(1.0)),
        [.., last] => Some(*last),
        [] => None,
    }
}
