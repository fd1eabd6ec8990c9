//! How far a ramp is, and in what steps it gets there.

use std::time::Duration;

/// The shortest and the longest time between two steps.
const PACE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));

/// How far the ramp of a fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress {
    /// How long the fault has been in force.
    pub after: Duration,
    /// How long it will have been in the end.
    pub of: Duration,
}

impl Progress {
    /// The steps between the edges of a fault: about a hundred, so that each of them is small.
    pub(super) fn through(length: Duration) -> impl Iterator<Item = Self> {
        let pace = pace(length);
        (1..u32::MAX)
            .map(move |step| pace.saturating_mul(step))
            .take_while(move |after| *after < length)
            .map(move |after| Self { after, of: length })
    }

    /// How many steps there are [`through`](Self::through) such a length.
    pub(super) fn count(length: Duration) -> u64 {
        let steps = length.as_nanos().saturating_sub(1) / pace(length).as_nanos();
        u64::try_from(steps).unwrap_or(u64::MAX)
    }

    /// As a share of the whole way.
    pub fn share(self) -> f64 {
        self.after.as_secs_f64() / self.of.as_secs_f64()
    }

    /// Whether this step passes a tenth of the way: a journal needs to hold no more of them.
    pub fn passes_a_tenth(self) -> bool {
        let tenths = |after: Duration| after.as_nanos() * 10 / self.of.as_nanos().max(1);
        tenths(self.after) > tenths(self.after.saturating_sub(pace(self.of)))
    }
}

fn pace(length: Duration) -> Duration {
    (length / 100).clamp(PACE.0, PACE.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_of_any_length_is_smooth_and_nine_of_its_steps_are_told() {
        for (length, expected) in [(2, 99), (10, 99), (60, 239), (600, 2399)] {
            let steps: Vec<_> = Progress::through(Duration::from_secs(length)).collect();
            assert_eq!(steps.len(), expected, "{length} s");
            let shown = steps.iter().filter(|step| step.passes_a_tenth());
            assert_eq!(shown.count(), 9, "{length} s");
        }
    }
}
