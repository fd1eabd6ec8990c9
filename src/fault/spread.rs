//! How random delays are spread around their mean: the distributions of Linux' netem.
//!
//! netem draws from tables that invert a distribution (`netem/normal.c`, `pareto.c` and
//! `paretonormal.c` of iproute2, which took them from NIST Net). Here the same inverses are
//! computed; like the tables they end four deviations from the mean.

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

/// The shape of a random delay.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Evenly from one jitter below the mean to one above.
    #[default]
    Uniform,
    /// A bell: the jitter is its standard deviation.
    Normal,
    /// Mostly a little below the mean, with a long tail above it.
    Pareto,
    /// A quarter normal, three quarters Pareto: what measured delays resemble most.
    Paretonormal,
}

/// The far end of netem's tables, in deviations.
const FARTHEST: f64 = 4.0;

impl Distribution {
    /// What a share `rank` of all draws lies below, in jitters from the mean.
    fn quantile(self, rank: f64) -> f64 {
        match self {
            Self::Uniform => 2.0 * rank - 1.0,
            Self::Normal => normal(rank),
            Self::Pareto => pareto(rank),
            Self::Paretonormal => 0.25 * normal(rank) + 0.75 * pareto(rank),
        }
    }
}

/// Draws one deviation after the other. With a correlation, each depends on the one before, as
/// netem does it: the rank is a mixture of a fresh one and the last one.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    distribution: Distribution,
    correlation: f64,
    last: Option<f64>,
}

impl Spread {
    /// `correlation` from 0 to 1.
    pub(super) const fn new(distribution: Distribution, correlation: f64) -> Self {
        Self {
            distribution,
            correlation,
            last: None,
        }
    }

    /// Goes on where another one is.
    pub(super) const fn follow(&mut self, before: &Self) {
        self.last = before.last;
    }

    /// The next deviation, in jitters from the mean.
    pub(super) fn draw(&mut self, rng: &mut ChaCha12Rng) -> f64 {
        let fresh: f64 = rng.random();
        let last = self.last.unwrap_or(fresh);
        let rank = (1.0 - self.correlation) * fresh + self.correlation * last;
        self.last = Some(rank);
        self.distribution.quantile(rank)
    }
}

/// The inverse of the normal distribution: Abramowitz and Stegun, formula 26.2.23, whose error is
/// below 0.00045.
fn normal(rank: f64) -> f64 {
    let tail = rank.min(1.0 - rank).max(f64::MIN_POSITIVE);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let distance = (t - above / below).clamp(0.0, FARTHEST);
    if rank < 0.5 { -distance } else { distance }
}

/// The inverse of the Pareto distribution with exponent 3, moved and scaled to a mean of 0 and
/// (almost) a deviation of 1, as in netem's table.
fn pareto(rank: f64) -> f64 {
    let value = (1.0 - rank).max(f64::MIN_POSITIVE).powf(-1.0 / 3.0);
    ((value - 1.5) * 4.0 / 3.0).min(FARTHEST)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const ALL: [Distribution; 4] = [
        Distribution::Uniform,
        Distribution::Normal,
        Distribution::Pareto,
        Distribution::Paretonormal,
    ];

    fn draws(distribution: Distribution, correlation: f64) -> Vec<f64> {
        let mut rng = ChaCha12Rng::seed_from_u64(5);
        let mut spread = Spread::new(distribution, correlation);
        (0..50_000).map(|_| spread.draw(&mut rng)).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn deviation(values: &[f64]) -> f64 {
        let mean = mean(values);
        let squares: Vec<_> = values.iter().map(|value| (value - mean).powi(2)).collect();
        self::mean(&squares).sqrt()
    }

    #[test]
    fn every_distribution_is_centred_and_a_jitter_wide() {
        for distribution in ALL {
            let drawn = draws(distribution, 0.0);
            let wide = match distribution {
                Distribution::Uniform => 1.0 / 3.0_f64.sqrt(),
                Distribution::Normal => 1.0,
                // The cut tail takes something away.
                Distribution::Pareto | Distribution::Paretonormal => 0.9,
            };
            assert!(
                mean(&drawn).abs() < 0.06,
                "{distribution:?}: {}",
                mean(&drawn)
            );
            let off = (deviation(&drawn) / wide - 1.0).abs();
            assert!(off < 0.12, "{distribution:?}: {}", deviation(&drawn));
            assert!(drawn.iter().all(|value| value.abs() <= FARTHEST));
        }
    }

    #[test]
    fn known_quantiles_come_out() {
        let check = |found: f64, wanted: f64| assert!((found - wanted).abs() < 5e-4, "{found}");
        check(normal(0.5), 0.0);
        check(normal(0.841_344_7), 1.0);
        check(normal(0.025), -1.959_964);
        check(pareto(0.0), -2.0 / 3.0);
        check(pareto(0.875), 2.0 / 3.0);
    }

    #[test]
    fn correlated_draws_follow_one_another() {
        let likeness = |correlation| {
            let drawn = draws(Distribution::Uniform, correlation);
            let pairs: Vec<_> = drawn.windows(2).map(|pair| pair[0] * pair[1]).collect();
            mean(&pairs) / deviation(&drawn).powi(2)
        };
        assert!(likeness(0.0).abs() < 0.03);
        assert!((likeness(0.75) - 0.75).abs() < 0.05);
    }
}
