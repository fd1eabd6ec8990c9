//! Whether several loops dial at the same moments.

use super::policy::Policy;

/// Volleys after the first that are no chance any more.
pub(super) const TOO_MANY: usize = 3;
/// Loops among which keeping step is told from chance.
pub(super) const ENOUGH_LOOPS: u32 = 3;
/// However short a delay is, loops are not told apart within less, in seconds.
const SAME_MOMENT: f64 = 0.005;

/// Several loops that began an attempt together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Volley {
    /// When, in seconds.
    pub(super) at: f64,
    /// How many.
    pub(super) loops: usize,
    /// From the first to the last of them, in seconds.
    pub(super) span: f64,
}

/// The moments at which at least four fifths of `lanes` loops dialled within `spread` of the delay
/// that was due. The first one is left out: it is the loss that sets all loops off together.
/// `starts` are in order.
pub(super) fn volleys(starts: &[f64], lanes: u32, policy: &Policy, spread: f64) -> Vec<Volley> {
    let needed = (lanes as usize * 4).div_ceil(5);
    let mut found: Vec<Volley> = Vec::new();
    let mut next = 0;
    while next < starts.len() {
        let width = (spread * policy.delay(found.len())).max(SAME_MOMENT);
        let together = starts[next..]
            .iter()
            .take_while(|start| *start - starts[next] <= width)
            .count();
        if together >= needed {
            found.push(Volley {
                at: starts[next],
                loops: together,
                span: starts[next + together - 1] - starts[next],
            });
            next += together;
        } else {
            next += 1;
        }
    }
    found.drain(..found.len().min(1));
    found
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha12Rng;

    use super::*;
    use crate::check::kinds::backoff::policy::{Jitter, Shape};

    const POLICY: Policy = Policy {
        shape: Shape::Exponential,
        base: 0.25,
        factor: 2.0,
        max: 4.0,
        jitter: Jitter::None,
        tries: None,
    };

    /// Attempts of `lanes` loops that dial at once and then six times more, `late` after each
    /// delay.
    fn rounds(lanes: u32, mut late: impl FnMut(f64) -> f64) -> Vec<f64> {
        let mut starts = Vec::new();
        for _ in 0..lanes {
            let mut now = 0.0;
            starts.push(now);
            for index in 0..6 {
                let delay = POLICY.delay(index);
                now += delay + late(delay);
                starts.push(now);
            }
        }
        starts.sort_unstable_by(f64::total_cmp);
        starts
    }

    #[test]
    fn loops_that_keep_step_are_a_volley_in_every_round_after_the_first() {
        let found = volleys(&rounds(5, |_| 0.001), 5, &POLICY, 0.05);
        assert_eq!(found.len(), 6);
        assert!(found.iter().all(|volley| volley.loops == 5), "{found:?}");
        assert!((found[0].at - 0.251).abs() < 1e-9);
    }

    #[test]
    fn jitter_of_a_fifth_breaks_the_step() {
        let mut rng = ChaCha12Rng::seed_from_u64(5);
        let mut herds = 0;
        for _ in 0..1_000 {
            let starts = rounds(5, |delay| delay * rng.random_range(-0.2..0.2));
            herds += u32::from(volleys(&starts, 5, &POLICY, 0.05).len() >= TOO_MANY);
        }
        assert!(herds <= 1, "{herds} of 1000 are called a herd by chance");
    }

    #[test]
    fn one_of_five_may_be_out_of_step() {
        let mut starts = rounds(4, |_| 0.0);
        starts.extend(rounds(1, |delay| delay * 0.3));
        starts.sort_unstable_by(f64::total_cmp);
        assert_eq!(volleys(&starts, 5, &POLICY, 0.05).len(), 6);
        assert_eq!(volleys(&rounds(3, |_| 0.0), 5, &POLICY, 0.05), []);
    }
}
