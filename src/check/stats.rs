//! The statistics that verdicts rest on. Pure; randomness is handed in.

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use crate::units::nearest_rank;

/// The z of a two-sided 95 % interval.
pub(super) const Z95: f64 = 1.959_963_984_540_054;

/// The z that leaves `alpha` outside on both sides together.
pub(super) fn two_sided_z(alpha: f64) -> f64 {
    Normal::standard().inverse_cdf(1.0 - alpha / 2.0)
}

/// The arithmetic mean; 0 of nothing.
pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// Student's interval of the difference between the means of `one` and `zero`, which leaves `alpha`
/// outside on both sides together. The variance is taken to be the same and pooled, so that one of
/// the two may be a single value. `None` if no variance can be told, as of values without any spread.
pub(super) fn student(one: &[f64], zero: &[f64], alpha: f64) -> Option<(f64, f64)> {
    let (n1, n0) = (one.len(), zero.len());
    let freedom = (n1 + n0).checked_sub(2).filter(|freedom| *freedom > 0)?;
    if n1 == 0 || n0 == 0 {
        return None;
    }
    // Counted from the first value: equal ones have no spread, however their mean is rounded.
    let squares = |values: &[f64]| {
        let shifted: Vec<f64> = values.iter().map(|value| value - values[0]).collect();
        let mean = mean(&shifted);
        let squares = shifted.iter().map(|value| (value - mean).powi(2));
        squares.sum::<f64>()
    };
    let variance = (squares(one) + squares(zero)) / freedom as f64;
    let error = (variance * (1.0 / n1 as f64 + 1.0 / n0 as f64)).sqrt();
    if error == 0.0 {
        return None;
    }
    let half = two_sided_t(alpha, freedom) * error;
    let difference = mean(one) - mean(zero);
    Some((difference - half, difference + half))
}

/// The probability of so many events as in the first of two `(events, exposure)`, or more, if they
/// happened by chance and `ratio` times as often there as in the second: the exact conditional test
/// of J. Przyborowski and H. Wilenski, "Homogeneity of results in testing samples from Poisson
/// series", Biometrika 31 (1940). For shares it errs on the side of chance. 1
/// where there are no more than expected.
pub(super) fn by_chance(first: (f64, f64), second: (f64, f64), ratio: f64) -> f64 {
    let ((hits, time), (others, elsewhere)) = (first, second);
    let all = hits + others;
    let odds = ratio * time / elsewhere;
    let share = odds / (1.0 + odds);
    if hits <= all * share {
        return 1.0;
    }
    let (mut ln, mut nth) = (hits * share.ln() - others * odds.ln_1p(), 1.0);
    while nth <= others {
        ln += ((hits + nth) / nth).ln();
        nth += 1.0;
    }
    // Above the mean each term of the tail is smaller than the one before.
    let (mut term, mut sum, mut nth) = (ln.exp(), 0.0, hits);
    while term > f64::EPSILON * sum {
        sum += term;
        term *= (all - nth) / (nth + 1.0) * odds;
        nth += 1.0;
    }
    sum
}

/// The probability that each of `one` values exceeds each of `zero` others if their order meant
/// nothing: the last step of the exact test of H. B. Mann and D. R. Whitney, "On a test of whether
/// one of two random variables is stochastically larger than the other", Annals of Mathematical
/// Statistics 18 (1947). It asks nothing of the values but their order.
pub(super) fn apart(one: usize, zero: usize) -> f64 {
    let ways = (1..=one).map(|nth| (zero + nth) as f64 / nth as f64);
    ways.product::<f64>().recip()
}

/// The t of Student's distribution that leaves `alpha` outside on both sides together.
fn two_sided_t(alpha: f64, freedom: usize) -> f64 {
    let student = StudentsT::new(0.0, 1.0, freedom as f64).expect("a degree of freedom");
    student.inverse_cdf(1.0 - alpha / 2.0)
}

/// The `q` quantile of sorted values by nearest rank.
pub(super) fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let place = nearest_rank(sorted.len(), q).checked_sub(1)?;
    Some(sorted[place])
}

/// The Wilson score interval of a proportion of `hits` in `all`; (0, 1) without observations.
pub(super) fn wilson(hits: u64, all: u64, z: f64) -> (f64, f64) {
    if all == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (all as f64, hits as f64 / all as f64);
    let z2 = z * z;
    let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

/// Newcombe's hybrid score interval of `p1 - k * p0`, where `(hits, all)` are given for both. With
/// `k` = 1 it is his interval of the difference between two independent proportions (method 10).
pub(super) fn newcombe(one: (u64, u64), zero: (u64, u64), k: f64, z: f64) -> (f64, f64) {
    let p = |(hits, all): (u64, u64)| {
        if all == 0 {
            0.0
        } else {
            hits as f64 / all as f64
        }
    };
    let (p1, p0) = (p(one), p(zero));
    let ((l1, u1), (l0, u0)) = (wilson(one.0, one.1, z), wilson(zero.0, zero.1, z));
    let difference = p1 - k * p0;
    (
        difference - ((p1 - l1).powi(2) + (k * (u0 - p0)).powi(2)).sqrt(),
        difference + ((u1 - p1).powi(2) + (k * (p0 - l0)).powi(2)).sqrt(),
    )
}

/// Values in consecutive bins of time: the blocks of a block bootstrap. What happens within a bin
/// stays together, so that correlation within it is kept.
pub(super) type Blocks = Vec<Vec<f64>>;

/// The `q` quantile of as many blocks as there are, drawn with replacement, `rounds` times.
pub(super) fn bootstrap(blocks: &Blocks, q: f64, rounds: usize, rng: &mut ChaCha12Rng) -> Vec<f64> {
    let mut drawn = Vec::new();
    (0..rounds)
        .filter_map(|_| {
            drawn.clear();
            for _ in 0..blocks.len() {
                drawn.extend_from_slice(&blocks[rng.random_range(0..blocks.len())]);
            }
            select(&mut drawn, q)
        })
        .collect()
}

/// As [`quantile`], of values in any order; reorders them.
fn select(values: &mut [f64], q: f64) -> Option<f64> {
    let place = nearest_rank(values.len(), q).checked_sub(1)?;
    Some(*values.select_nth_unstable_by(place, f64::total_cmp).1)
}

/// The central interval that leaves `alpha` / 2 of `values` outside on either side.
pub(super) fn central(mut values: Vec<f64>, alpha: f64) -> Option<(f64, f64)> {
    values.sort_unstable_by(f64::total_cmp);
    Some((
        quantile(&values, alpha / 2.0)?,
        quantile(&values, 1.0 - alpha / 2.0)?,
    ))
}

/// Kendall's S of a sequence against its order: later pairs that grow minus those that shrink.
pub(super) fn kendall_s(values: &[f64]) -> i64 {
    let mut s = 0;
    for (index, first) in values.iter().enumerate() {
        for second in &values[index + 1..] {
            s += match second.total_cmp(first) {
                std::cmp::Ordering::Greater => 1,
                std::cmp::Ordering::Less => -1,
                std::cmp::Ordering::Equal => 0,
            };
        }
    }
    s
}

/// The exact one-sided probability of at least this growth if the order meant nothing. Ties make
/// it conservative.
pub(super) fn kendall_p(values: &[f64]) -> f64 {
    let n = values.len();
    let pairs = n * n.saturating_sub(1) / 2;
    // The distribution of the number of inversions of a random permutation.
    let mut share = vec![1.0_f64];
    for size in 2..=n {
        let mut next = vec![0.0; share.len() + size - 1];
        for (inversions, probability) in share.iter().enumerate() {
            for extra in 0..size {
                next[inversions + extra] += probability / size as f64;
            }
        }
        share = next;
    }
    let s = kendall_s(values);
    #[expect(clippy::cast_possible_wrap, reason = "far below 2^63 pairs")]
    let most = (pairs as i64 - s) / 2;
    share
        .iter()
        .take(usize::try_from(most).map_or(0, |most| most + 1))
        .sum::<f64>()
        .min(1.0)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
    }

    #[test]
    fn quantiles_are_by_nearest_rank() {
        let values = [15.0, 20.0, 35.0, 40.0, 50.0];
        assert_eq!(quantile(&values, 0.4), Some(20.0));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(select(&mut [3.0, 1.0, 2.0], 0.5), Some(2.0));
    }

    #[test]
    fn z_is_that_of_the_tables() {
        for (alpha, z) in [(0.05, 1.959_964), (0.01, 2.575_829), (0.025, 2.241_403)] {
            assert!((two_sided_z(alpha) - z).abs() < 1e-6);
        }
    }

    /// From the table of Student's t in Abramowitz and Stegun, table 26.10.
    #[test]
    fn t_is_that_of_the_tables() {
        for (alpha, freedom, t) in [
            (0.05, 1, 12.706),
            (0.05, 2, 4.303),
            (0.05, 3, 3.182),
            (0.05, 4, 2.776),
            (0.05, 9, 2.262),
            (0.05, 30, 2.042),
            (0.01, 3, 5.841),
            (0.01, 4, 4.604),
            (0.01, 10, 3.169),
            (0.001, 4, 8.610),
            (0.001, 20, 3.850),
        ] {
            let found = two_sided_t(alpha, freedom);
            assert!((found / t - 1.0).abs() < 1e-3, "{alpha} {freedom}: {found}");
        }
    }

    #[test]
    fn the_difference_of_two_means_has_students_interval() {
        // Two means of 5 and 2 with a pooled variance of 2 and 4 degrees of freedom.
        let (one, zero) = ([4.0, 4.0, 7.0], [1.0, 2.0, 3.0]);
        let (low, high) = student(&one, &zero, 0.05).unwrap();
        let half = 2.776_445 * (2.0_f64 * 2.0 / 3.0).sqrt();
        assert!((low - (3.0 - half)).abs() < 2e-3, "{low}");
        assert!((high - (3.0 + half)).abs() < 2e-3, "{high}");
        let single = student(&[5.0], &zero, 0.05).unwrap();
        assert!((single.1 - (3.0 + 4.302_653 * (4.0_f64 / 3.0).sqrt())).abs() < 2e-3);
        assert_eq!(student(&[5.0], &[3.0], 0.05), None);
        assert_eq!(student(&[], &zero, 0.05), None);
    }

    #[test]
    fn values_without_any_spread_have_no_interval() {
        assert_eq!(student(&[0.2], &[0.1013; 3], 0.05), None);
    }

    /// Tails of the binomial distribution.
    #[test]
    fn rates_differ_by_chance_as_often_as_the_binomial_tail_says() {
        close(by_chance((1.0, 500.0), (0.0, 1_500.0), 1.0), 0.25);
        close(by_chance((2.0, 1.0), (0.0, 5.0), 1.0), 1.0 / 36.0);
        close(by_chance((8.0, 1.0), (2.0, 1.0), 1.0), 56.0 / 1_024.0);
        close(by_chance((3.0, 1.0), (1.0, 1.0), 2.0), 48.0 / 81.0);
        close(by_chance((1.0, 1.0), (3.0, 1.0), 1.0), 1.0);
        close(by_chance((20_000.0, 1.0), (10_000.0, 1.0), 1.1), 0.0);
        close(by_chance((0.0, 1.0), (0.0, 1.0), 1.0), 1.0);
    }

    #[test]
    fn runs_lie_apart_by_chance_as_often_as_the_ways_of_ordering_them_say() {
        close(apart(1, 3), 1.0 / 4.0);
        close(apart(1, 19), 1.0 / 20.0);
        close(apart(5, 5), 1.0 / 252.0);
        close(apart(3, 4), 1.0 / 35.0);
    }

    /// Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method
    /// 3.
    #[test]
    fn wilson_gives_the_intervals_of_newcombe_1998() {
        for (hits, all, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let (l, u) = wilson(hits, all, Z95);
            close(l, low);
            close(u, high);
        }
    }

    /// Newcombe 1998, "Interval estimation for the difference between independent proportions",
    /// table II, method 10.
    #[test]
    fn newcombe_gives_the_intervals_of_newcombe_1998() {
        for (one, zero, low, high) in [
            ((56, 70), (48, 80), 0.0524, 0.3339),
            ((9, 10), (3, 10), 0.1705, 0.8090),
            ((10, 10), (0, 20), 0.6791, 1.0),
        ] {
            let (l, u) = newcombe(one, zero, 1.0, Z95);
            close(l, low);
            close(u, high);
        }
    }

    /// The exact one-sided tail of Kendall's S, as tabulated in Kendall, "Rank correlation
    /// methods", appendix table 1.
    #[test]
    fn kendalls_p_is_exact() {
        close(kendall_p(&[1.0, 2.0, 3.0, 4.0]), 1.0 / 24.0);
        close(kendall_p(&[1.0, 2.0, 3.0, 4.0, 5.0]), 1.0 / 120.0);
        close(kendall_p(&[2.0, 1.0, 3.0, 4.0]), 4.0 / 24.0);
        close(kendall_p(&[4.0, 3.0, 2.0, 1.0]), 1.0);
        close(kendall_p(&[1.0, 3.0, 2.0, 4.0, 5.0]), 5.0 / 120.0);
        close(kendall_p(&[]), 1.0);
    }

    #[test]
    fn the_bootstrap_covers_the_median_of_known_values_and_repeats_by_seed() {
        let blocks: Blocks = (0..40)
            .map(|block| {
                (0..25)
                    .map(|i| f64::from((block * 7 + i * 3) % 100))
                    .collect()
            })
            .collect();
        let draw = || bootstrap(&blocks, 0.5, 500, &mut ChaCha12Rng::seed_from_u64(1));
        let (low, high) = central(draw(), 0.05).unwrap();
        assert!(
            low < 50.0 && 50.0 < high && high - low < 20.0,
            "{low} {high}"
        );
        assert_eq!(draw(), draw());
    }
}
