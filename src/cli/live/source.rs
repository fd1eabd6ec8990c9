//! What the display knows of one workload or probe. Pure; it is told the time.

use std::collections::VecDeque;
use std::time::Duration;

use super::draw::Tone;
use crate::event::{Answers, Sample};
use crate::units::{Moment, nearest_rank};

/// What a workload or probe saw last.
#[derive(Debug)]
pub(super) struct Observed {
    /// How far back figures look.
    horizon: Duration,
    /// How long it waits for an answer.
    deadline: Duration,
    recent: VecDeque<Recent>,
}

/// What figures need of a sample.
#[derive(Debug)]
struct Recent {
    at: Moment,
    /// `None` of an error.
    latency: Option<Duration>,
    ok: bool,
}

impl Observed {
    pub(super) const fn over(horizon: Duration, deadline: Duration) -> Self {
        Self {
            horizon,
            deadline,
            recent: VecDeque::new(),
        }
    }

    /// Takes note of a sample that was told at `at`.
    pub(super) fn see(&mut self, at: Moment, sample: &Sample) {
        self.recent.push_back(Recent {
            at,
            latency: sample.counted_latency(Answers::Good, self.deadline),
            ok: sample.outcome.is_ok(),
        });
        let oldest = at.before(self.horizon);
        while self.recent.front().is_some_and(|first| first.at < oldest) {
            self.recent.pop_front();
        }
    }

    /// Rate, errors and p95 over the horizon; `None` for a source that never showed itself.
    pub(super) fn line(&self, now: Moment) -> Option<(String, Tone)> {
        self.recent.back()?;
        let oldest = now.before(self.horizon);
        let inside: Vec<_> = self.recent.iter().filter(|one| one.at >= oldest).collect();
        let rate = inside.len() as f64 / self.horizon.as_secs_f64();
        let errors = inside.iter().filter(|one| !one.ok).count();
        let mut latencies: Vec<_> = inside.iter().filter_map(|one| one.latency).collect();
        latencies.sort_unstable();
        if inside.is_empty() {
            return Some(("silent".to_owned(), Tone::Warning));
        }
        let rank = nearest_rank(latencies.len(), 0.95);
        let p95 = rank.checked_sub(1).map_or_else(
            || format!("{:>8}   ", "-"),
            |index| format!("{:>8.1} ms", latencies[index].as_secs_f64() * 1e3),
        );
        let text = format!(
            "{rate:>6.1}/s  {:>5.1} % errors  p95 {p95}",
            100.0 * errors as f64 / inside.len() as f64,
        );
        Some((text, if errors > 0 { Tone::Bad } else { Tone::Plain }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    fn sample(done_ms: u64, latency_ms: u64, outcome: Outcome) -> Sample {
        Sample {
            source: "reads".into(),
            intended: at(done_ms - latency_ms),
            sent: at(done_ms - latency_ms),
            done: at(done_ms),
            outcome,
            digest: None,
        }
    }

    #[test]
    fn figures_look_back_one_horizon_and_no_further() {
        let mut observed = Observed::over(Duration::from_secs(1), Duration::from_millis(10));
        assert_eq!(observed.line(at(0)), None);
        for ms in (100..=2000).step_by(100) {
            let outcome = match ms {
                1900 => Outcome::Timeout,
                _ => Outcome::Ok { status: None },
            };
            observed.see(at(ms), &sample(ms, 20, outcome));
        }
        let (text, tone) = observed.line(at(2060)).unwrap();
        assert_eq!(tone, Tone::Bad);
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words.join(" "), "10.0/s 10.0 % errors p95 20.0 ms");
        let silent = ("silent".to_owned(), Tone::Warning);
        assert_eq!(observed.line(at(9000)), Some(silent));
    }
}
