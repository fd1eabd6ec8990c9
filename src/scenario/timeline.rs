//! The schedule as a sorted list of edges: a pure function of the faults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{FaultPlan, Plan, Start, Step};
use crate::event::Edge;

/// How long a fault that acts once is in force: long enough for every open connection to meet it.
pub(super) const ONCE: Duration = Duration::from_millis(100);

/// Every edge of the schedule. Sorted by time; at one moment lifts come before injections, and
/// otherwise the order of the file decides. Every injection has its lift.
pub fn timeline(plan: &Plan) -> Vec<Step> {
    steps(&plan.faults)
}

/// The edges of these faults. Those whose beginning depends on itself have none; loading refuses
/// them.
pub(super) fn steps(faults: &[FaultPlan]) -> Vec<Step> {
    let mut begins = BTreeMap::new();
    let mut steps: Vec<Step> = faults
        .iter()
        .enumerate()
        .filter_map(|(index, fault)| Some((index, fault, begin(faults, index, &mut begins)?)))
        .flat_map(|(index, fault, begin)| edges(index, fault, begin))
        .collect();
    steps.sort_by_key(|step| (step.at, step.edge, step.fault, step.occurrence));
    steps
}

fn edges(index: usize, fault: &FaultPlan, begin: Duration) -> impl Iterator<Item = Step> {
    let every = fault.every.unwrap_or_default();
    let length = length(fault);
    (0..fault.count).flat_map(move |occurrence| {
        let at = begin.saturating_add(every.saturating_mul(occurrence));
        let step = move |at, edge| Step {
            at,
            fault: index,
            occurrence,
            edge,
        };
        [
            step(at, Edge::Inject),
            step(at.saturating_add(length), Edge::Lift),
        ]
    })
}

/// How long one occurrence of `fault` is in force.
pub(super) fn length(fault: &FaultPlan) -> Duration {
    fault.length.unwrap_or(ONCE)
}

/// When the fault at `index` begins for the first time; `None` if that depends on itself or on a
/// fault that does not exist.
fn begin(
    faults: &[FaultPlan],
    index: usize,
    known: &mut BTreeMap<usize, Option<Duration>>,
) -> Option<Duration> {
    if let Some(begin) = known.get(&index) {
        return *begin;
    }
    // Whoever comes back here while this one is being worked out has run in a circle.
    known.insert(index, None);
    let mut of = |name: &str| {
        let other = faults.iter().position(|fault| &*fault.name == name)?;
        Some((&faults[other], begin(faults, other, known)?))
    };
    let begin = match &faults[index].start {
        Start::BeforeServices => Some(Duration::ZERO),
        Start::At(at) => Some(*at),
        Start::With(name, delay) => of(name).map(|(_, begin)| begin.saturating_add(*delay)),
        Start::After(name, delay) => {
            of(name).map(|(other, begin)| end(other, begin).saturating_add(*delay))
        }
    };
    known.insert(index, begin);
    begin
}

/// When the last occurrence of `fault` is lifted.
fn end(fault: &FaultPlan, begin: Duration) -> Duration {
    let repetitions = fault.every.unwrap_or_default() * fault.count.saturating_sub(1);
    begin
        .saturating_add(repetitions)
        .saturating_add(length(fault))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::check::SourceMap;
    use crate::fault::Scope;

    fn fault(name: &str, start: Start, length: Option<u64>, every: u64, count: u32) -> FaultPlan {
        FaultPlan {
            name: name.into(),
            kind: "partition".to_owned(),
            params: serde_json::json!({}),
            targets: vec!["db".into()],
            scope: Scope::default(),
            start,
            length: length.map(Duration::from_secs),
            every: (count > 1).then(|| Duration::from_secs(every)),
            count,
            source: SourceMap::default(),
        }
    }

    fn at(seconds: u64) -> Start {
        Start::At(Duration::from_secs(seconds))
    }

    /// `12 +0` is an injection of the first fault at 12 s.
    fn check(faults: &[FaultPlan], expected: &[&str]) {
        let shown: Vec<_> = steps(faults)
            .iter()
            .map(|step| {
                let sign = match step.edge {
                    Edge::Inject => '+',
                    Edge::Lift => '-',
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
    fn a_fault_that_acts_once_is_lifted_soon() {
        check(&[fault("a", at(5), None, 0, 1)], &["5 +0", "5.1 -0"]);
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
            let steps = steps(&faults);
            prop_assert!(steps.is_sorted_by_key(|step| (step.at, step.edge)));
            prop_assert_eq!(&steps, &super::steps(&faults));
        }

        #[test]
        fn every_injection_has_its_lift_later_and_none_overlaps_its_own_kind(faults in faults()) {
            let steps = steps(&faults);
            let edges = |edge| steps.iter().filter(move |step| step.edge == edge);
            prop_assert_eq!(edges(Edge::Inject).count(), edges(Edge::Lift).count());
            for inject in edges(Edge::Inject) {
                let own: Vec<_> = edges(Edge::Lift)
                    .filter(|lift| (lift.fault, lift.occurrence) == (inject.fault, inject.occurrence))
                    .collect();
                prop_assert_eq!(own.len(), 1);
                prop_assert_eq!(own[0].at, inject.at + length(&faults[inject.fault]));
            }
            for (index, fault) in faults.iter().enumerate() {
                let own = steps.iter().filter(|step| step.fault == index).count();
                prop_assert!(own == 0 || own == 2 * fault.count as usize);
                prop_assert!(own > 0 || !matches!(fault.start, Start::At(_)));
            }
        }
    }
}
