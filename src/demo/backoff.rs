//! How long to wait between attempts to reach the database.

use std::time::Duration;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;

use crate::units::{Period, Share};

/// Exponential backoff with a ceiling and symmetric jitter.
#[derive(Debug, Clone, Copy, PartialEq, clap::Args)]
pub struct Policy {
    /// Wait after the first failed attempt to connect.
    #[arg(long = "backoff-base", value_name = "PERIOD", default_value = "250ms")]
    pub base: Period,
    /// Each further wait is this many times longer.
    #[arg(long = "backoff-factor", value_name = "NUMBER", default_value = "2")]
    pub factor: f64,
    /// The longest wait, before jitter.
    #[arg(long = "backoff-max", value_name = "PERIOD", default_value = "4s")]
    pub max: Period,
    /// Each wait is longer or shorter by up to this share, so that instances do not move in step.
    #[arg(long = "backoff-jitter", value_name = "SHARE", default_value = "20%")]
    pub jitter: Share,
}

impl Policy {
    /// Practically none: the next attempt follows a millisecond after the failed one.
    pub(super) const NONE: Self = Self {
        base: Period::from_millis(1),
        factor: 1.0,
        max: Period::from_millis(1),
        jitter: Share::NONE,
    };
}

/// Where in its sequence of waits one retry loop is.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: Policy,
    failures: i32,
    rng: ChaCha12Rng,
}

impl Backoff {
    pub(super) fn new(policy: Policy, rng: ChaCha12Rng) -> Self {
        Self {
            policy,
            failures: 0,
            rng,
        }
    }

    /// Counts a failure and says how long to wait before the next attempt.
    pub(super) fn after_failure(&mut self) -> Duration {
        let Policy {
            base,
            factor,
            max,
            jitter,
        } = self.policy;
        let grown = base.as_secs_f64() * factor.powi(self.failures);
        let wait = grown.min(max.as_secs_f64()).max(0.0);
        self.failures = self.failures.saturating_add(1);
        let deviation = jitter.fraction() * self.rng.random_range(-1.0..=1.0);
        Duration::from_secs_f64(wait * (1.0 + deviation))
    }

    /// How many attempts failed since the sequence began.
    pub(super) const fn failures(&self) -> i32 {
        self.failures
    }

    /// Begins anew; only when all is well again, or else a database that comes and goes would be
    /// asked at the shortest interval for ever.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn policy() -> Policy {
        Policy {
            base: Period::from_millis(250),
            factor: 2.0,
            max: Period::from_secs(4),
            jitter: Share::from_fraction(0.2).unwrap(),
        }
    }

    #[test]
    fn each_wait_lies_within_the_jitter_around_base_times_factor_to_the_power() {
        let mut shortest = f64::MAX;
        let mut longest = 0.0_f64;
        for seed in 0..200 {
            let mut backoff = Backoff::new(policy(), ChaCha12Rng::seed_from_u64(seed));
            for centre in [0.25, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0] {
                let ratio = backoff.after_failure().as_secs_f64() / centre;
                assert!((0.8..=1.2).contains(&ratio), "{ratio} of {centre} s");
                shortest = shortest.min(ratio);
                longest = longest.max(ratio);
            }
        }
        assert!(shortest < 0.82 && longest > 1.18, "the jitter is used up");
    }

    #[test]
    fn the_sequence_begins_anew_only_after_a_reset() {
        let mut backoff = Backoff::new(policy(), ChaCha12Rng::seed_from_u64(1));
        for _ in 0..100 {
            backoff.after_failure();
        }
        assert!(backoff.after_failure() >= Duration::from_millis(3200));
        backoff.reset();
        assert!(backoff.after_failure() <= Duration::from_millis(300));
    }
}
