//! The schedule as a sorted list of steps: a pure function of the faults and the seed.

use std::collections::HashMap;
use std::time::Duration;

use super::chaos::{self, Drawn};
use super::plan::{FaultPlan, Plan, Start, Step, Turn};
use super::progress::Progress;

/// The most that a schedule may hold of beginnings of faults and steps of ramps together. Whoever
/// writes more has mistyped a number; laying it all out would take memory without bound.
pub(super) const MOST: u64 = 100_000;

/// How much of [`MOST`] a fault takes that is not drawn.
pub(super) fn size(fault: &FaultPlan) -> u64 {
    let once = |length| 1 + moves(fault, length);
    if fault.sweep.is_empty() {
        once(fault.stay()).saturating_mul(fault.count.into())
    } else {
        fault.sweep.iter().map(|length| once(*length)).sum()
    }
}

/// The steps of the fault's ramp while it is in force for so long.
pub(super) fn moves(fault: &FaultPlan, length: Duration) -> u64 {
    if fault.ramp.is_empty() {
        0
    } else {
        Progress::count(length)
    }
}

/// Every step of the schedule. Sorted by time; at one moment lifts come before injections, and
/// otherwise the order of the file decides. Every injection has its lift.
pub fn timeline(plan: &Plan) -> Vec<Step> {
    let drawn = chaos::drawn((&plan.faults, plan.chaos.as_ref()), plan.seed);
    steps(&plan.faults, &drawn)
}

/// The steps of these faults, drawn ones included. Those whose beginning depends on itself have
/// none; loading refuses them.
pub(super) fn steps(faults: &[FaultPlan], drawn: &[Drawn]) -> Vec<Step> {
    // When each drawn fault is in force, and for how long.
    let mut times_drawn = vec![Vec::new(); faults.len()];
    for one in drawn {
        times_drawn[one.fault].push((one.at, one.length));
    }
    let mut steps = Vec::new();
    let known = faults.iter().zip(begins(faults)).zip(times_drawn);
    for (index, ((fault, begin), drawn)) in known.enumerate() {
        let times = match begin {
            Some(begin) => stretches(fault)
                .into_iter()
                .map(|(after, length)| (begin.saturating_add(after), length))
                .collect(),
            None => drawn,
        };
        for (occurrence, (at, length)) in (0..).zip(times) {
            steps.extend(turns(fault, (index, occurrence), at, length));
        }
    }
    steps.sort_by_key(|step| (step.at, step.turn, step.fault, step.occurrence));
    steps
}

/// The steps of one time that `fault` is in force.
fn turns(
    plan: &FaultPlan,
    (fault, occurrence): (usize, u32),
    at: Duration,
    length: Duration,
) -> impl Iterator<Item = Step> + use<> {
    let step = move |after, turn| Step {
        at: at.saturating_add(after),
        fault,
        occurrence,
        turn,
    };
    let edges = [step(Duration::ZERO, Turn::Inject), step(length, Turn::Lift)];
    let ramp = (!plan.ramp.is_empty()).then(|| Progress::through(length));
    let moves = ramp.into_iter().flatten();
    let moves = moves.map(move |to| step(to.after, Turn::Move(to)));
    edges.into_iter().chain(moves)
}

/// Each time that `fault` is in force: how long after its first beginning, and for how long.
pub(super) fn stretches(fault: &FaultPlan) -> Vec<(Duration, Duration)> {
    let length = fault.stay();
    let every = fault.every.unwrap_or_default();
    let repeated = (0..fault.count).map(|round| (every.saturating_mul(round), length));
    if fault.sweep.is_empty() {
        return repeated.collect();
    }
    let mut after = Duration::ZERO;
    let swept = fault.sweep.iter().map(|length| {
        let begin = after;
        after = after.saturating_add(*length).saturating_add(fault.gap);
        (begin, *length)
    });
    swept.collect()
}

/// When each fault begins for the first time; `None` if it is drawn, or if that depends on itself or
/// on a fault that does not exist.
fn begins(faults: &[FaultPlan]) -> Vec<Option<Duration>> {
    let mut indexes = HashMap::new();
    for (index, fault) in faults.iter().enumerate() {
        indexes.entry(&fault.name).or_insert(index);
    }
    let awaited = |index: usize| match &faults[index].start {
        Start::With(name, _) | Start::After(name, _) => indexes.get(name).copied(),
        _ => None,
    };
    let mut begins: Vec<Option<Duration>> = vec![None; faults.len()];
    let mut seen = vec![false; faults.len()];
    for first in 0..faults.len() {
        // One that was seen is worked out already, or waits for itself.
        let mut chain = Vec::new();
        let mut next = Some(first);
        while let Some(index) = next.filter(|index| !seen[*index]) {
            seen[index] = true;
            chain.push(index);
            next = awaited(index);
        }
        for index in chain.into_iter().rev() {
            let other = awaited(index).and_then(|other| Some((&faults[other], begins[other]?)));
            begins[index] = match &faults[index].start {
                Start::BeforeServices => Some(Duration::ZERO),
                Start::At(at) => Some(*at),
                Start::With(_, delay) => other.map(|(_, begin)| begin.saturating_add(*delay)),
                Start::After(_, delay) => {
                    other.map(|(other, begin)| end(other, begin).saturating_add(*delay))
                }
                Start::Drawn { .. } => None,
            };
        }
    }
    begins
}

/// When the last occurrence of `fault` is lifted.
fn end(fault: &FaultPlan, begin: Duration) -> Duration {
    let ends = stretches(fault).into_iter();
    let last = ends
        .map(|(after, length)| after.saturating_add(length))
        .max();
    begin.saturating_add(last.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::fault::ramp::{Ramp, Way};
    use crate::scenario::plan::testing::fault;

    fn at(seconds: u64) -> Start {
        Start::At(Duration::from_secs(seconds))
    }

    /// `12 +0` is an injection of the first fault at 12 s.
    fn check(faults: &[FaultPlan], expected: &[&str]) {
        let shown: Vec<_> = steps(faults, &[])
            .iter()
            .map(|step| {
                let sign = match step.turn {
                    Turn::Inject => '+',
                    Turn::Lift => '-',
                    Turn::Move(_) => '~',
                };
                format!("{} {sign}{}", step.at.as_secs_f64(), step.fault)
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn at_one_moment_lifts_come_before_injections() {
        check(
            &[
                fault("b", at(10), Some(5), 0, 1),
                fault("a", at(5), Some(5), 0, 1),
            ],
            &["5 +1", "10 -1", "10 +0", "15 -0"],
        );
    }

    #[test]
    fn after_waits_for_the_last_lift_and_with_for_the_first_injection() {
        let after = Start::After("a".into(), Duration::from_secs(1));
        let with = Start::With("a".into(), Duration::from_secs(1));
        check(
            &[
                fault("c", after, Some(1), 0, 1),
                fault("b", with, Some(1), 0, 1),
                fault("a", at(5), Some(2), 10, 2),
            ],
            &[
                "5 +2", "6 +1", "7 -1", "7 -2", "15 +2", "17 -2", "18 +0", "19 -0",
            ],
        );
    }

    #[test]
    fn faults_may_wait_for_each_other_in_a_chain_as_long_as_a_file() {
        let wait = |index: u64| match index {
            0 => at(5),
            _ => Start::With((index - 1).to_string().into(), Duration::from_secs(1)),
        };
        let faults = (0..10_000).map(|index| fault(&index.to_string(), wait(index), None, 0, 1));
        let faults: Vec<_> = faults.rev().collect();
        let last = *super::begins(&faults).first().unwrap();
        assert_eq!(last, Some(Duration::from_secs(5 + 9_999)));
    }

    #[test]
    fn a_fault_that_acts_once_is_lifted_soon() {
        check(&[fault("a", at(5), None, 0, 1)], &["5 +0", "5.1 -0"]);
    }

    #[test]
    fn a_sweep_has_its_lengths_one_after_the_other_with_time_between() {
        let seconds = |list: [u64; 3]| list.map(Duration::from_secs).to_vec();
        let swept = FaultPlan {
            sweep: seconds([3, 1, 8]),
            gap: Duration::from_secs(10),
            ..fault("a", at(5), None, 0, 1)
        };
        let after = Start::After("a".into(), Duration::from_secs(1));
        check(
            &[swept, fault("b", after, Some(1), 0, 1)],
            &[
                "5 +0", "8 -0", "18 +0", "19 -0", "29 +0", "37 -0", "38 +1", "39 -1",
            ],
        );
    }

    fn ramped(length: Duration) -> FaultPlan {
        let way = Way {
            from: "0ms".into(),
            to: "100ms".into(),
        };
        FaultPlan {
            ramp: Ramp([("latency".to_owned(), way)].into()),
            length: Some(length),
            ..fault("a", at(5), None, 0, 1)
        }
    }

    #[test]
    fn a_ramp_moves_in_even_steps_between_its_edges() {
        let steps = steps(&[ramped(Duration::from_millis(100))], &[]);
        let turns: Vec<_> = steps.iter().map(|step| step.turn).collect();
        let moves = [20, 40, 60, 80].map(|ms| {
            Turn::Move(Progress {
                after: Duration::from_millis(ms),
                of: Duration::from_millis(100),
            })
        });
        assert_eq!(turns[0], Turn::Inject);
        assert_eq!(turns[1..5], moves);
        assert_eq!(turns[5..], [Turn::Lift]);
        assert!(steps.is_sorted_by_key(|step| step.at));
    }

    #[test]
    fn a_fault_that_waits_for_itself_never_begins() {
        let after = |name: &str| Start::After(name.into(), Duration::ZERO);
        check(
            &[
                fault("a", after("b"), Some(1), 0, 1),
                fault("b", after("a"), Some(1), 0, 1),
                fault("c", at(1), Some(1), 0, 1),
            ],
            &["1 +2", "2 -2"],
        );
    }

    #[test]
    fn a_schedule_is_as_large_as_its_beginnings_and_the_steps_of_its_ramps() {
        let seconds = |list: [u64; 2]| list.map(Duration::from_secs).to_vec();
        let swept = FaultPlan {
            sweep: seconds([3, 60]),
            ..ramped(Duration::ZERO)
        };
        for fault in [
            fault("a", at(5), Some(5), 10, 7),
            ramped(Duration::from_millis(100)),
            ramped(Duration::from_millis(101)),
            swept,
        ] {
            let steps = steps(std::slice::from_ref(&fault), &[]);
            let counted = steps.iter().filter(|step| step.turn != Turn::Lift).count();
            assert_eq!(size(&fault), counted as u64);
        }
    }

    /// Faults that may wait for any other, themselves included.
    fn faults() -> impl Strategy<Value = Vec<FaultPlan>> {
        let start = (0_u64..3, 0_u64..30, 0_usize..8).prop_map(|(kind, delay, other)| {
            let delay = Duration::from_secs(delay);
            match kind {
                0 => Start::At(delay),
                1 => Start::After(format!("f{other}").into(), delay),
                _ => Start::With(format!("f{other}").into(), delay),
            }
        });
        let one = (start, prop::option::of(1_u64..20), 20_u64..40, 1_u32..4);
        prop::collection::vec(one, 0..8).prop_map(|list| {
            list.into_iter()
                .enumerate()
                .map(|(index, (start, length, every, count))| {
                    fault(&format!("f{index}"), start, length, every, count)
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn the_timeline_is_sorted_and_the_same_for_the_same_faults(faults in faults()) {
            let steps = steps(&faults, &[]);
            prop_assert!(steps.is_sorted_by_key(|step| (step.at, step.turn)));
            prop_assert_eq!(&steps, &super::steps(&faults, &[]));
        }

        #[test]
        fn every_injection_has_its_lift_later_and_none_overlaps_its_own_kind(faults in faults()) {
            let steps = steps(&faults, &[]);
            let edges = |turn| steps.iter().filter(move |step| step.turn == turn);
            prop_assert_eq!(edges(Turn::Inject).count(), edges(Turn::Lift).count());
            for inject in edges(Turn::Inject) {
                let own: Vec<_> = edges(Turn::Lift)
                    .filter(|lift| (lift.fault, lift.occurrence) == (inject.fault, inject.occurrence))
                    .collect();
                prop_assert_eq!(own.len(), 1);
                let length = faults[inject.fault].stay();
                prop_assert_eq!(own[0].at, inject.at + length);
            }
            for (index, fault) in faults.iter().enumerate() {
                let own = steps.iter().filter(|step| step.fault == index).count();
                prop_assert!(own == 0 || own == 2 * fault.count as usize);
                prop_assert!(own > 0 || !matches!(fault.start, Start::At(_)));
            }
        }

        #[test]
        fn occurrences_of_drawn_faults_are_counted_by_time(begins in begins()) {
            let drawn = |(at, fault)| Drawn {
                fault,
                at: Duration::from_secs(at),
                length: FaultPlan::ONCE,
            };
            let drawn: Vec<_> = begins.into_iter().map(drawn).collect();
            let whenever = || Start::Drawn { lasts: false };
            let faults = ["a", "b", "c"].map(|name| fault(name, whenever(), None, 0, 1));
            for step in steps(&faults, &drawn) {
                let own = drawn.iter().filter(|one| one.fault == step.fault);
                let earlier = own.filter(|one| one.at < step.at).count();
                let begun = usize::from(step.turn == Turn::Lift);
                prop_assert_eq!(step.occurrence as usize + begun, earlier);
            }
        }
    }

    /// When a fault begins, in seconds, and which.
    fn begins() -> impl Strategy<Value = BTreeMap<u64, usize>> {
        prop::collection::btree_map(0_u64..100, 0_usize..3, 0..50)
    }
}
