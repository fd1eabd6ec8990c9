//! Faults drawn at random: which, when and for how long is a pure function of the seed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use super::plan::{Chaos, FaultPlan, Start};
use super::timeline;
use crate::fault;

/// A fault that was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drawn {
    /// Its index among the faults of the plan.
    pub(super) fault: usize,
    /// When it begins, after time zero.
    pub(super) at: Duration,
    /// For how long.
    pub(super) length: Duration,
}

/// What is drawn with this seed; nothing without a chaos.
pub(super) fn drawn((faults, chaos): (&[FaultPlan], Option<&Chaos>), seed: u64) -> Vec<Drawn> {
    chaos.map_or_else(Vec::new, |chaos| chaos.draw(faults, seed))
}

impl Chaos {
    /// What is drawn with this seed, by time. There are `at_once` lanes; each draws one fault after
    /// the other, with a gap in between. No fault is in two lanes at once.
    fn draw(&self, faults: &[FaultPlan], seed: u64) -> Vec<Drawn> {
        let mut rng = fault::scheduler(seed);
        let (from, end) = (*self.between.start(), *self.between.end());
        let mut lanes: Vec<Duration> = (0..self.lanes())
            .map(|_| from + one_of(&self.gap, &mut rng))
            .collect();
        let mut in_force_until: BTreeMap<usize, Duration> = BTreeMap::new();
        let mut drawn = Vec::new();
        while let Some(lane) = lanes.iter_mut().filter(|at| **at < end).min() {
            let at = *lane;
            let free = |fault: usize| in_force_until.get(&fault).is_none_or(|until| *until <= at);
            let Some(fault) = self.choose(free, &mut rng) else {
                // Every fault is in force: this lane waits for the first one to end.
                let ends = in_force_until.values().filter(|until| **until > at);
                *lane = ends.min().copied().unwrap_or(end);
                continue;
            };
            let length = self.length_of(&faults[fault], &mut rng);
            let until = at + length;
            if until > end {
                *lane = end;
                continue;
            }
            *lane = until + one_of(&self.gap, &mut rng);
            in_force_until.insert(fault, until);
            drawn.push(Drawn { fault, at, length });
        }
        drawn
    }

    /// No more than there are faults: a further lane would only wait.
    fn lanes(&self) -> usize {
        let at_once = usize::try_from(self.at_once).unwrap_or(usize::MAX);
        at_once.min(self.weights.len())
    }

    /// About how much of [`MOST`](super::timeline::MOST) is taken at most, with whatever seed: as
    /// if the fault that begins and moves most often was the only one.
    pub(super) fn size(&self, faults: &[FaultPlan]) -> f64 {
        let pace = |(fault, _): &(usize, f64)| {
            let fault = &faults[*fault];
            let drawn = self.drawn_length(fault);
            let length = drawn.map_or_else(|| fault.stay(), mean);
            let one = 1 + timeline::moves(fault, length);
            one as f64 / (mean(&self.gap) + length).as_secs_f64()
        };
        let busiest = self.weights.iter().map(pace).fold(0.0, f64::max);
        let span = self.between.end().saturating_sub(*self.between.start());
        busiest * span.as_secs_f64() * self.lanes() as f64
    }

    /// One of the faults that are free, by weight.
    fn choose(&self, free: impl Fn(usize) -> bool, rng: &mut ChaCha12Rng) -> Option<usize> {
        let candidates = || self.weights.iter().filter(|(fault, _)| free(*fault));
        let total: f64 = candidates().map(|(_, weight)| weight).sum();
        let mut left = total * rng.random::<f64>();
        let chosen = candidates().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        // Rounding may leave a rest at the very end.
        let chosen = chosen.or_else(|| candidates().last());
        chosen.map(|(fault, _)| *fault)
    }

    fn length_of(&self, fault: &FaultPlan, rng: &mut ChaCha12Rng) -> Duration {
        let drawn = self.drawn_length(fault);
        drawn.map_or_else(|| fault.stay(), |range| one_of(range, rng))
    }

    /// From what the length of a fault is drawn that has none of its own.
    fn drawn_length(&self, fault: &FaultPlan) -> Option<&RangeInclusive<Duration>> {
        match (&fault.start, fault.length) {
            (Start::Drawn { lasts: true }, None) => Some(&self.length),
            _ => None,
        }
    }
}

fn mean(range: &RangeInclusive<Duration>) -> Duration {
    (*range.start() + *range.end()) / 2
}

/// Any time of a range, in whole milliseconds where there are any: people read them.
fn one_of(range: &RangeInclusive<Duration>, rng: &mut ChaCha12Rng) -> Duration {
    let first = range.start().as_nanos().div_ceil(MILLISECOND);
    let last = range.end().as_nanos() / MILLISECOND;
    if first > last {
        return *range.start();
    }
    let chosen = rng.random_range(first..=last);
    Duration::from_millis(u64::try_from(chosen).unwrap_or(u64::MAX))
}

const MILLISECOND: u128 = 1_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scenario::plan::testing::fault;

    fn second(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Faults that last, but for the last one, which acts once.
    fn faults(count: usize) -> Vec<FaultPlan> {
        let drawn = |index: usize| {
            let lasts = index + 1 < count;
            fault(&format!("f{index}"), Start::Drawn { lasts }, None, 0, 1)
        };
        (0..count).map(drawn).collect()
    }

    fn chaos() -> impl Strategy<Value = Chaos> {
        let range = |from: std::ops::Range<u64>, more: u64| {
            (from, 0..=more).prop_map(|(from, more)| second(from)..=second(from + more))
        };
        let weights = prop::collection::vec(0.1..5.0_f64, 1..5);
        (
            range(0..20, 60),
            range(0..5, 5),
            range(1..5, 9),
            1..4_u32,
            weights,
        )
            .prop_map(|(between, gap, length, at_once, weights)| Chaos {
                between,
                gap,
                length,
                at_once,
                weights: weights.into_iter().enumerate().collect(),
            })
    }

    proptest! {
        #[test]
        fn every_draw_keeps_within_its_bounds(chaos in chaos(), seed: u64) {
            let faults = faults(chaos.weights.len());
            let drawn = chaos.draw(&faults, seed);
            prop_assert_eq!(&drawn, &chaos.draw(&faults, seed), "the same seed draws the same");
            for one in &drawn {
                prop_assert!(one.at >= *chaos.between.start());
                prop_assert!(one.at + one.length <= *chaos.between.end());
                if one.fault + 1 < faults.len() {
                    prop_assert!(chaos.length.contains(&one.length));
                } else {
                    prop_assert_eq!(one.length, FaultPlan::ONCE);
                }
            }
        }

        #[test]
        fn never_is_more_in_force_than_may_be_and_no_fault_twice(chaos in chaos(), seed: u64) {
            let drawn = chaos.draw(&faults(chaos.weights.len()), seed);
            prop_assert!(drawn.is_sorted_by_key(|one| one.at));
            for (index, new) in drawn.iter().enumerate() {
                let earlier = drawn[..index].iter();
                let others: Vec<_> = earlier.filter(|one| one.at + one.length > new.at).collect();
                prop_assert!(others.len() < chaos.at_once as usize);
                prop_assert!(others.iter().all(|one| one.fault != new.fault), "in force twice");
            }
        }
    }

    #[test]
    fn a_draw_is_about_as_large_as_foretold_and_never_much_larger() {
        let faults = faults(4);
        let drawn = (0..20).map(|seed| example().draw(&faults, seed).len());
        let most = drawn.max().unwrap() as f64;
        // The last one acts once, for 100 ms instead of 1.5 s on average; it is not drawn here.
        let foretold = example().size(&faults);
        assert!(
            (0.9..1.1).contains(&(foretold / most)),
            "{foretold}, {most}"
        );
        let crowd = Chaos {
            at_once: u32::MAX,
            ..example()
        };
        assert!(crowd.draw(&faults, 1).len() < 1000);
    }

    fn example() -> Chaos {
        Chaos {
            between: second(10)..=second(610),
            gap: second(1)..=second(3),
            length: second(1)..=second(2),
            at_once: 2,
            weights: vec![(0, 3.0), (1, 1.0), (2, 1.0)],
        }
    }

    #[test]
    fn another_seed_draws_another_schedule() {
        let faults = faults(4);
        let draws: Vec<_> = (0..50).map(|seed| example().draw(&faults, seed)).collect();
        for (index, draw) in draws.iter().enumerate() {
            assert!(draw.len() > 100, "only {} were drawn", draw.len());
            assert!(
                !draws[..index].contains(draw),
                "seed {index} draws as another one"
            );
        }
    }

    #[test]
    fn faults_are_drawn_about_as_often_as_they_weigh() {
        let faults = faults(4);
        let draws = (0..20).flat_map(|seed| example().draw(&faults, seed));
        let mut counts = [0_u32; 3];
        draws.for_each(|drawn| counts[drawn.fault] += 1);
        let all: u32 = counts.iter().sum();
        // One that is in force cannot be drawn again, so that the heavy one comes a little less
        // often than in three of five draws.
        assert!(
            (0.45..0.6).contains(&(f64::from(counts[0]) / f64::from(all))),
            "{counts:?}"
        );
        assert!(counts[1].abs_diff(counts[2]) * 5 < counts[1], "{counts:?}");
    }

    #[test]
    fn a_draw_is_the_same_on_every_machine_and_release() {
        let drawn = example().draw(&faults(4), 7);
        let first = drawn[0];
        assert_eq!(
            (first.fault, first.at.as_millis(), first.length.as_millis()),
            (0, 12_078, 1_536)
        );
    }
}
