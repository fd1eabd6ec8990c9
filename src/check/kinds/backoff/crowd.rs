//! Loops that cannot be told apart: no gap is known to be one loop's, but their attempts together
//! thin out while each loop's delay grows, and go on evenly if it does not.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;

use super::policy::{Policy, Shape};
use crate::check::{Verdict, stats};

/// Runs of each simulation.
const RUNS: u32 = 100;
/// Standard deviations within which a policy is kept: chance leaves them once in a million.
const KEPT: f64 = 5.0;
/// Standard deviations beyond which another policy is ruled out.
const RULED_OUT: f64 = 3.0;

/// What is known of the loops; times in seconds.
#[derive(Debug)]
pub(super) struct Crowd<'a> {
    pub(super) policy: Policy,
    /// How many there are at most.
    pub(super) lanes: u32,
    /// From the first attempt to the end of the outage.
    pub(super) length: f64,
    /// Within which time of each other they begin at most.
    pub(super) spread: f64,
    /// How long attempts took.
    pub(super) durations: &'a [f64],
}

/// Where the attempts lie on average: 0 is the first of them, 1 the end of the time looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Places {
    /// The time looked at: until the delay of a loop has grown to its longest.
    pub(super) within: f64,
    /// How many attempts lie in it.
    pub(super) attempts: usize,
    /// What was seen.
    pub(super) seen: f64,
    /// What the declared policy allows.
    pub(super) allowed: (f64, f64),
    /// The place from which on a constant delay explains them; up to which a growing one does, if
    /// a constant one is declared.
    pub(super) otherwise: f64,
}

impl Places {
    /// Whether they are those of the declared policy, with attempts `late` by so much at most:
    /// inconclusive if they are too early, or another shape explains them as well.
    pub(super) fn verdict(&self, shape: Shape, late: f64) -> Verdict {
        let (low, high) = self.allowed;
        let other_ruled_out = match shape {
            Shape::Exponential => self.seen < self.otherwise,
            Shape::Constant => self.seen > self.otherwise,
        };
        if self.seen > high + late / self.within {
            Verdict::Fail
        } else if self.seen >= low && other_ruled_out {
            Verdict::Pass
        } else {
            Verdict::Inconclusive
        }
    }
}

impl Crowd<'_> {
    /// Of attempts in order; `None` of fewer than two per loop.
    pub(super) fn places(&self, attempts: &[f64], seed: u64) -> Option<Places> {
        let within = self.growth().min(self.length);
        let (count, position) = place(attempts, within)?;
        if count < 2 * self.lanes as usize {
            return None;
        }
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut ends = |policy: &Policy, deviations| {
            let (mut low, mut high) = (f64::MAX, f64::MIN);
            for (spread, first) in [(0.0, 0), (0.0, 1), (1.0, 0), (1.0, 1)] {
                let places = self.simulate(policy, (spread, first), (count, within), &mut rng);
                let (mean, most) = (stats::mean(&places), deviations * deviation(&places));
                (low, high) = (low.min(mean - most), high.max(mean + most));
            }
            (low, high)
        };
        let allowed = ends(&self.policy, KEPT);
        let even = within * f64::from(self.lanes) / count as f64;
        let otherwise = match self.policy.shape {
            Shape::Exponential => {
                let constant = |share: f64| Policy {
                    shape: Shape::Constant,
                    base: even * share,
                    max: even * share,
                    ..self.policy
                };
                let lows = [0.8, 1.0, 1.25].map(|share| ends(&constant(share), RULED_OUT).0);
                lows.into_iter().fold(f64::MAX, f64::min)
            }
            Shape::Constant => {
                let growing = Policy {
                    shape: Shape::Exponential,
                    factor: 2.0,
                    max: f64::MAX,
                    ..self.policy
                };
                ends(&growing, RULED_OUT).1
            }
        };
        Some(Places {
            within,
            attempts: count,
            seen: position,
            allowed,
            otherwise,
        })
    }

    /// The time in which the delay of a loop grows to its longest, and half of that one: its end lies
    /// between two attempts.
    fn growth(&self) -> f64 {
        let longest = self.policy.delay(usize::MAX);
        let took = stats::mean(self.durations);
        if self.policy.shape == Shape::Constant || self.policy.factor <= 1.0 {
            return f64::MAX;
        }
        let delays = (0..).map(|index| self.policy.delay(index));
        let growing = delays.take_while(|delay| *delay < longest);
        growing.map(|delay| delay + took).sum::<f64>() + longest / 2.0
    }

    /// Where the attempts of a policy lie, in runs of as many loops as it takes for as many
    /// attempts.
    fn simulate(
        &self,
        policy: &Policy,
        (spread, first): (f64, usize),
        (attempts, within): (usize, f64),
        rng: &mut ChaCha12Rng,
    ) -> Vec<f64> {
        let run = |_| {
            let mut starts = Vec::new();
            for _ in 0..self.lanes {
                if starts.len() >= attempts {
                    break;
                }
                let begin = spread * self.spread * rng.random::<f64>();
                let length = within + self.spread;
                policy.simulate((begin, first), length, self.durations, rng, &mut starts);
            }
            starts.sort_unstable_by(f64::total_cmp);
            place(&starts, within).map(|(_, place)| place)
        };
        (0..RUNS).filter_map(run).collect()
    }
}

/// How many of the starts lie `within` the first of them, and where on average.
fn place(starts: &[f64], within: f64) -> Option<(usize, f64)> {
    let first = *starts.first()?;
    let since = starts.iter().map(|start| (start - first) / within);
    let inside: Vec<f64> = since.take_while(|place| *place <= 1.0).collect();
    Some((inside.len(), stats::mean(&inside)))
}

fn deviation(values: &[f64]) -> f64 {
    let mean = stats::mean(values);
    let squares: Vec<f64> = values.iter().map(|value| (value - mean).powi(2)).collect();
    stats::mean(&squares).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::kinds::backoff::policy::Jitter;

    const POLICY: Policy = Policy {
        shape: Shape::Exponential,
        base: 0.25,
        factor: 2.0,
        max: 4.0,
        jitter: Jitter::None,
        tries: None,
    };
    const LENGTH: f64 = 16.0;

    /// Seeds of each case.
    const SEEDS: u64 = 4;

    /// Verdicts on attempts that `lanes` loops of `policy` make: kept, undecided, not kept.
    fn outcomes(policy: &Policy, jitter: Jitter, lanes: u32, runs: u64) -> [u64; 3] {
        let mut counts = [0; 3];
        for seed in 0..runs {
            let mut rng = ChaCha12Rng::seed_from_u64(seed);
            let mut starts = Vec::new();
            for lane in 0..lanes {
                let begin = 0.3 * rng.random::<f64>();
                let first = (lane % 2) as usize;
                policy.simulate((begin, first), LENGTH, &[0.001], &mut rng, &mut starts);
            }
            starts.sort_unstable_by(f64::total_cmp);
            let crowd = Crowd {
                policy: Policy { jitter, ..POLICY },
                lanes,
                length: LENGTH,
                spread: 0.5,
                durations: &[0.001],
            };
            let places = crowd.places(&starts, seed);
            let verdict = places.map(|places| places.verdict(Shape::Exponential, 0.05));
            let place = match verdict {
                Some(Verdict::Pass) => 0,
                Some(Verdict::Fail) => 2,
                Some(Verdict::Inconclusive) | None => 1,
            };
            counts[place] += 1;
        }
        counts
    }

    #[test]
    fn a_growing_delay_is_never_taken_for_a_constant_one() {
        for jitter in ["none", "20%", "equal", "full", "decorrelated"] {
            let jitter: Jitter = jitter.parse().unwrap();
            for lanes in [2, 4, 10] {
                let policy = Policy { jitter, ..POLICY };
                let [kept, undecided, not] = outcomes(&policy, jitter, lanes, SEEDS);
                assert_eq!((kept + undecided, not), (SEEDS, 0), "{jitter} {lanes}");
            }
        }
    }

    #[test]
    fn a_growing_delay_of_many_loops_is_mostly_recognised_and_never_fails() {
        const RUNS: u64 = 12;
        for lanes in [4, 10] {
            let [kept, _, not] = outcomes(&POLICY, Jitter::None, lanes, RUNS);
            assert!(kept >= RUNS / 2, "{kept} of {RUNS} with {lanes} loops");
            assert_eq!(not, 0, "{lanes} loops");
        }
    }

    #[test]
    fn a_constant_delay_is_never_taken_for_a_growing_one() {
        for (base, lanes) in [(0.25, 2), (0.25, 4), (0.25, 10), (2.0, 4), (2.0, 10)] {
            let policy = Policy {
                shape: Shape::Constant,
                base,
                ..POLICY
            };
            let found = outcomes(&policy, Jitter::None, lanes, SEEDS);
            assert_eq!(found, [0, 0, SEEDS], "{base} s, {lanes} loops");
        }
        // With full jitter the policy itself allows much.
        let policy = Policy {
            shape: Shape::Constant,
            base: 0.25,
            ..POLICY
        };
        for lanes in [2, 4, 10] {
            let [kept, ..] = outcomes(&policy, Jitter::Full, lanes, SEEDS);
            assert_eq!(kept, 0, "{lanes} loops");
        }
    }
}
