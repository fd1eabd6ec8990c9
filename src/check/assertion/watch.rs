use std::collections::VecDeque;
use std::time::Duration;

use super::{Assertion, Measured};
use crate::check::metric::Terms;
use crate::event::{Answers, Sample};
use crate::units::{Moment, Period};

/// Into how many parts the watched time is cut; the condition must hold in each.
const PARTS: u32 = 5;

/// The time that is looked at when an assertion has no `for`.
const DEFAULT_LENGTH: Duration = Duration::from_secs(1);

/// Says when an assertion has held for its `for DURATION` without a break.
///
/// Observations count from the moment at which their outcome is known. "Without a break" means: in
/// each fifth of the latest DURATION. An assertion without `for` is judged over the latest second
/// as a whole. Memory is bounded by the observations of one DURATION.
#[derive(Debug)]
pub struct Watch {
    assertion: Assertion,
    deadline: Duration,
    since: Option<Moment>,
    recent: VecDeque<Sample>,
}

impl Watch {
    /// Watches for `assertion`, whose source waits for an answer until `deadline`.
    pub const fn new(assertion: Assertion, deadline: Duration) -> Self {
        Self {
            assertion,
            deadline,
            since: None,
            recent: VecDeque::new(),
        }
    }

    /// The assertion.
    pub const fn assertion(&self) -> &Assertion {
        &self.assertion
    }

    /// Takes in an observation; those of other sources are ignored.
    pub fn see(&mut self, sample: &Sample) {
        if sample.source == self.assertion.source {
            self.recent.push_back(sample.clone());
            self.forget(sample.done);
        }
    }

    /// The measurement over the whole DURATION up to `now`, if the assertion held throughout.
    pub fn held(&mut self, now: Moment) -> Option<Measured> {
        let since = *self.since.get_or_insert(now);
        self.forget(now);
        let length = self.length();
        if now.since(since) < length {
            return None;
        }
        let parts = match self.assertion.lasting {
            Some(_) => PARTS,
            None => 1,
        };
        let part = length / parts;
        let throughout = (0..parts).all(|index| {
            let from = now.before(part * (index + 1));
            self.measure(from, from + part).holds() == Some(true)
        });
        throughout
            .then(|| self.measure(now.before(length), now))
            .filter(|measured| measured.holds() == Some(true))
    }

    fn measure(&self, from: Moment, to: Moment) -> Measured {
        let within = self
            .recent
            .iter()
            .filter(|sample| sample.done > from && sample.done <= to);
        let terms = Terms {
            length: to.since(from),
            deadline: self.deadline,
            of: Answers::Good,
        };
        self.assertion.measure(within, terms, None)
    }

    fn length(&self) -> Duration {
        self.assertion.lasting.map_or(DEFAULT_LENGTH, Period::get)
    }

    fn forget(&mut self, now: Moment) {
        let oldest = now.before(self.length());
        while self
            .recent
            .front()
            .is_some_and(|sample| sample.done < oldest)
        {
            self.recent.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    fn sample(at_ms: u64, outcome: Outcome) -> Sample {
        let at = Moment::ZERO + Duration::from_millis(at_ms);
        Sample {
            source: "reads".into(),
            intended: at,
            sent: at,
            done: at,
            outcome,
            digest: None,
        }
    }

    /// Feeds one sample each 100 ms; the condition is first seen at the returned millisecond.
    fn first_held(text: &str, failing: impl Fn(u64) -> bool) -> Option<u64> {
        let mut watch = Watch::new(text.parse().unwrap(), Duration::from_secs(1));
        (0..200).map(|step| step * 100).find(|at| {
            let outcome = if failing(*at) {
                Outcome::Timeout
            } else {
                Outcome::Ok { status: None }
            };
            watch.see(&sample(*at, outcome));
            watch
                .held(Moment::ZERO + Duration::from_millis(*at))
                .is_some()
        })
    }

    #[test]
    fn a_condition_is_held_only_after_its_whole_duration() {
        let text = "reads.error_rate > 50% for 5s";
        assert_eq!(first_held(text, |at| at >= 3_000), Some(7_500));
        assert_eq!(first_held(text, |at| (3_000..6_000).contains(&at)), None);
    }

    #[test]
    fn a_break_within_the_duration_starts_it_again() {
        let text = "reads.error_rate > 50% for 5s";
        let broken = |at: u64| at >= 3_000 && !(6_000..8_000).contains(&at);
        assert_eq!(first_held(text, broken), Some(12_500));
    }

    #[test]
    fn other_sources_and_silence_hold_nothing() {
        let mut watch = Watch::new(
            "reads.error_rate > 50% for 1s".parse().unwrap(),
            Duration::ZERO,
        );
        let mut other = sample(500, Outcome::Timeout);
        other.source = "writes".into();
        watch.see(&other);
        assert_eq!(watch.held(Moment::ZERO), None);
        assert_eq!(watch.held(Moment::ZERO + Duration::from_secs(2)), None);
    }
}
