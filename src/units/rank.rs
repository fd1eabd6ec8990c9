/// The nearest rank of the quantile `share`, from 0 to 1, of `count` values: the place, from 1, of
/// the smallest value that at least this share of all values does not exceed. 0 of no values.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the share lies in 0..=1, so the rank lies in 1..=count"
)]
pub fn nearest_rank(count: usize, share: f64) -> usize {
    // A product such as 0.07 * 100 comes out a little above the whole number that it is.
    let rank = (share * count as f64 - 1e-9).ceil().max(1.0) as usize;
    rank.min(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest_from_above() {
        let ranks = [0.05, 0.3, 0.4, 0.5, 1.0].map(|share| nearest_rank(5, share));
        assert_eq!(ranks, [1, 2, 2, 3, 5]);
        assert_eq!(nearest_rank(100, 0.07), 7);
        assert_eq!((nearest_rank(0, 0.5), nearest_rank(1, 0.0)), (0, 1));
    }
}
