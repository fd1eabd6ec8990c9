//! How random delays are spread around their mean: the distributions of Linux' netem.
//!
//! netem draws from tables that invert a distribution (`netem/normal.c`, `pareto.c` and
//! `paretonormal.c` of iproute2, which took them from NIST Net). Here the same inverses are
//! computed, and scaled so that the jitter is exactly what it is documented to be.

use std::f64::consts::SQRT_2;

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
    /// A bell, cut off at four jitters on either side; the jitter is its standard deviation.
    Normal,
    /// Mostly a little below the mean, with a long tail above it: a Pareto distribution of exponent
    /// 3 without the last thousandth of its tail. The jitter is its standard deviation; it begins
    /// 0.7 jitters below the mean and ends 12.2 above it.
    Pareto,
    /// A quarter normal, three quarters Pareto: what measured delays resemble most. The jitter is
    /// its standard deviation; it ends 10.6 jitters above the mean.
    Paretonormal,
}

/// Where the bell ends, in deviations.
const NORMAL_END: f64 = 4.0;
/// The share of the Pareto distribution that is drawn from: up to ten times its least value.
const PARETO_KEPT: f64 = 0.999;
/// Mean and standard deviation of that part, from its moments: `1.5 (1 - 1/100) / 0.999`, and the
/// root of `3 (1 - 1/10) / 0.999` less the square of the mean.
const PARETO_MEAN: f64 = 1.486_486_486_486;
const PARETO_DEVIATION: f64 = 0.702_182_759_825;
/// Standard deviation of the mixture, by numeric integration.
const PARETONORMAL_DEVIATION: f64 = 0.957_997_786;

impl Distribution {
    /// What a share `rank` of all draws lies below, in jitters from the mean.
    fn quantile(self, rank: f64) -> f64 {
        match self {
            Self::Uniform => 2.0 * rank - 1.0,
            Self::Normal => bell(rank),
            Self::Pareto => pareto(rank),
            Self::Paretonormal => {
                (0.25 * bell(rank) + 0.75 * pareto(rank)) / PARETONORMAL_DEVIATION
            }
        }
    }
}

/// Draws one deviation after the other. With a correlation, each depends on the one before: the
/// ranks come from a normal process of the first order, `x' = c x + sqrt(1 - c^2) z`, which spreads
/// as widely as a fresh draw. netem mixes the ranks themselves, and its delays draw together.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    distribution: Distribution,
    correlation: f64,
    /// The last value of the normal process.
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
        let rank: f64 = rng.random();
        if self.correlation <= 0.0 {
            return self.distribution.quantile(rank);
        }
        let fresh = normal(rank);
        let next = self.last.map_or(fresh, |last| {
            self.correlation * last + (1.0 - self.correlation.powi(2)).sqrt() * fresh
        });
        self.last = Some(next);
        self.distribution.quantile(share_below(next))
    }
}

/// The inverse of the normal distribution: Abramowitz and Stegun, formula 26.2.23, whose error is
/// below 0.00045.
fn normal(rank: f64) -> f64 {
    let tail = rank.min(1.0 - rank).max(f64::MIN_POSITIVE);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let distance = (t - above / below).max(0.0);
    if rank < 0.5 { -distance } else { distance }
}

/// The normal distribution: Abramowitz and Stegun, formula 7.1.26, whose error is below 0.0000002.
fn share_below(value: f64) -> f64 {
    let x = value.abs() / SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum = [
        1.061_405_429,
        -1.453_152_027,
        1.421_413_741,
        -0.284_496_736,
        0.254_829_592,
    ]
    .into_iter()
    .fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = 0.5 * sum * (-x * x).exp();
    if value < 0.0 { tail } else { 1.0 - tail }
}

fn bell(rank: f64) -> f64 {
    normal(rank).clamp(-NORMAL_END, NORMAL_END)
}

/// The inverse of the Pareto distribution with exponent 3 up to [`PARETO_KEPT`], moved to a mean of
/// 0 and scaled to a standard deviation of 1.
fn pareto(rank: f64) -> f64 {
    let value = (1.0 - PARETO_KEPT * rank).powf(-1.0 / 3.0);
    (value - PARETO_MEAN) / PARETO_DEVIATION
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    /// A distribution by its definition, in jitters: standard deviation, 1st, 50th and 99th
    /// percentile, least and greatest value, and the autocorrelation of a process of 75 %.
    struct Definition {
        distribution: Distribution,
        deviation: f64,
        percentiles: [f64; 3],
        bounds: [f64; 2],
        likeness: f64,
    }

    /// Computed apart from this code, by numeric integration.
    const DEFINITIONS: [Definition; 4] = [
        Definition {
            distribution: Distribution::Uniform,
            deviation: 0.577_35,
            percentiles: [-0.98, 0.0, 0.98],
            bounds: [-1.0, 1.0],
            likeness: 0.734,
        },
        Definition {
            distribution: Distribution::Normal,
            deviation: 1.0,
            percentiles: [-2.326, 0.0, 2.326],
            bounds: [-4.0, 4.0],
            likeness: 0.75,
        },
        Definition {
            distribution: Distribution::Pareto,
            deviation: 1.0,
            percentiles: [-0.688, -0.323, 4.289],
            bounds: [-0.693, 12.125],
            likeness: 0.663,
        },
        Definition {
            distribution: Distribution::Paretonormal,
            deviation: 1.0,
            percentiles: [-1.146, -0.253, 3.965],
            bounds: [-1.587, 10.537],
            likeness: 0.696,
        },
    ];

    const DRAWS: usize = 200_000;

    fn draws(distribution: Distribution, correlation: f64) -> Vec<f64> {
        let mut rng = ChaCha12Rng::seed_from_u64(5);
        let mut spread = Spread::new(distribution, correlation);
        (0..DRAWS).map(|_| spread.draw(&mut rng)).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    fn deviation(values: &[f64]) -> f64 {
        let mean = mean(values);
        let squares: Vec<_> = values.iter().map(|value| (value - mean).powi(2)).collect();
        self::mean(&squares).sqrt()
    }

    /// How far `values` are from `wanted`: their mean, deviation and percentiles, with what a
    /// correlation leaves of the sample.
    fn compare(drawn: &mut [f64], wanted: &Definition, correlation: f64) {
        let what = format!("{:?} at {correlation}", wanted.distribution);
        let close = |found: f64, wanted: f64, by: f64| {
            assert!((found - wanted).abs() < by, "{what}: {found}, not {wanted}");
        };
        let independent = DRAWS as f64 * (1.0 - correlation) / (1.0 + correlation);
        // Five standard errors; that of the deviation grows with the kurtosis, here below 33.
        close(
            mean(drawn),
            0.0,
            5.0 * wanted.deviation / independent.sqrt(),
        );
        let error = wanted.deviation * (32.0 / 4.0 / independent).sqrt();
        close(deviation(drawn), wanted.deviation, 5.0 * error);
        drawn.sort_by(f64::total_cmp);
        for (percent, value) in [1_u8, 50, 99].into_iter().zip(wanted.percentiles) {
            let share = f64::from(percent) / 100.0;
            // The error of a percentile in ranks, turned into jitters by the slope at its place.
            let error = 5.0 * (share * (1.0 - share) / independent).sqrt();
            let at = |share: f64| wanted.distribution.quantile(share.clamp(0.0, 1.0));
            let found = drawn[DRAWS / 100 * usize::from(percent)];
            let within = at(share - error) - 0.002..at(share + error) + 0.002;
            assert!(
                within.contains(&found) && within.contains(&value),
                "{what}: {found}, not {value}"
            );
        }
        let [least, most] = wanted.bounds;
        assert!(drawn[0] >= least && drawn[DRAWS - 1] <= most, "{what}");
    }

    #[test]
    fn every_distribution_has_the_mean_deviation_and_percentiles_of_its_definition() {
        for wanted in &DEFINITIONS {
            compare(&mut draws(wanted.distribution, 0.0), wanted, 0.0);
        }
    }

    #[test]
    fn a_correlation_changes_nothing_about_a_distribution_but_the_order() {
        for wanted in &DEFINITIONS {
            for correlation in [0.5, 0.75] {
                let mut drawn = draws(wanted.distribution, correlation);
                compare(&mut drawn, wanted, correlation);
            }
        }
    }

    #[test]
    fn correlated_draws_resemble_the_one_before_them_as_much_as_asked() {
        for wanted in &DEFINITIONS {
            let drawn = draws(wanted.distribution, 0.75);
            let pairs: Vec<_> = drawn.windows(2).map(|pair| pair[0] * pair[1]).collect();
            let likeness = mean(&pairs) / deviation(&drawn).powi(2);
            let off = (likeness - wanted.likeness).abs();
            assert!(off < 0.02, "{:?}: {likeness}", wanted.distribution);
        }
        let still = draws(Distribution::Normal, 1.0);
        assert!(still.iter().all(|value| (value - still[0]).abs() < 1e-9));
    }

    #[test]
    fn known_quantiles_come_out() {
        let check = |found: f64, wanted: f64| assert!((found - wanted).abs() < 5e-4, "{found}");
        check(normal(0.5), 0.0);
        check(normal(0.841_344_7), 1.0);
        check(normal(0.025), -1.959_964);
        check(share_below(1.0), 0.841_344_7);
        check(share_below(-1.959_964), 0.025);
        check(pareto(0.0), -0.692_820);
        check(pareto(1.0), 12.124_356);
    }
}
