//! What a backoff check saw, for a picture of it.

use serde::{Deserialize, Serialize};

use super::{Case, Policy, attempts};
use crate::check::Attempt;
use crate::event::Name;
use crate::units::Moment;

/// The attempts of one loop during one outage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The fault that made the outage.
    pub fault: Name,
    /// From when to when.
    pub outage: (Moment, Moment),
    /// When the first attempt began.
    pub first: Option<Moment>,
    /// The waits before the attempts after the first.
    pub gaps: Vec<Gap>,
}

/// A wait between two attempts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When the attempt after it began.
    pub attempt: Moment,
    /// Its length; 0 if it began before the failure of the one before, as when loops interleave.
    pub seconds: f64,
    /// The shortest and the longest that the declared policy allows here, with tolerance; `None`
    /// if none is declared.
    pub allowed: Option<(f64, f64)>,
}

/// What a plot shows of a loop of `case`.
pub(super) fn trace(case: &Case<'_>, lane: &[&Attempt]) -> Trace {
    let seconds = attempts::gaps(lane);
    let policy = case.params.policy();
    let allowed = policy.map(|policy| allowed(case, &policy, &seconds));
    let pairs = lane.windows(2).filter(|pair| pair[0].failed.is_some());
    let gaps = pairs
        .zip(&seconds)
        .enumerate()
        .map(|(index, (pair, gap))| Gap {
            attempt: pair[1].start,
            seconds: *gap,
            allowed: allowed.as_ref().map(|allowed| allowed[index]),
        });
    Trace {
        fault: case.params.fault.clone(),
        outage: case.window,
        first: lane.first().map(|first| first.start),
        gaps: gaps.collect(),
    }
}

/// What the policy allows, read as the check reads it.
fn allowed(case: &Case, policy: &Policy, gaps: &[f64]) -> Vec<(f64, f64)> {
    let from = [0, 1]
        .into_iter()
        .min_by_key(|from| case.strange(policy, gaps, *from).len());
    let mut last = None;
    let ranges = gaps.iter().enumerate().map(|(index, gap)| {
        let range = policy.range(index + from.unwrap_or(0), last);
        last = Some(*gap);
        case.tolerant(range)
    });
    ranges.collect()
}
