//! What is measured of a set of observations, and in what.

use std::time::Duration;

use super::stats;
use crate::event::{Outcome, Sample};

/// What is measured of a set of observations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Share of the observations that were not ok.
    ErrorRate,
    /// Share of the observations that were ok.
    OkRatio,
    /// Median latency.
    P50,
    /// 95th percentile of the latency.
    P95,
    /// 99th percentile of the latency.
    P99,
    /// Largest latency.
    Max,
    /// Number of observations without an answer in time.
    Timeouts,
    /// Number of observations.
    Count,
    /// Observations per second.
    Rate,
}

/// What a metric is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A fraction from 0 to 1.
    Share,
    /// Seconds.
    Time,
    /// A number.
    Number,
    /// A number per second.
    Rate,
}

/// The terms on which observations were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The time in which they were made.
    pub length: Duration,
    /// How long each could wait for its answer.
    pub deadline: Duration,
}

impl Metric {
    /// Every metric with its name in scenario files.
    pub const ALL: [(&'static str, Self); 9] = [
        ("error_rate", Self::ErrorRate),
        ("ok_ratio", Self::OkRatio),
        ("p50", Self::P50),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("max", Self::Max),
        ("timeouts", Self::Timeouts),
        ("count", Self::Count),
        ("rate", Self::Rate),
    ];

    /// Its name in scenario files.
    pub fn name(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, metric)| *metric == self)
            .map_or("", |(name, _)| name)
    }

    /// What it is measured in.
    pub const fn unit(self) -> Unit {
        match self {
            Self::ErrorRate | Self::OkRatio => Unit::Share,
            Self::P50 | Self::P95 | Self::P99 | Self::Max => Unit::Time,
            Self::Timeouts | Self::Count => Unit::Number,
            Self::Rate => Unit::Rate,
        }
    }

    /// The quantile of the latency that it is, if it is one below the maximum.
    pub const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            _ => None,
        }
    }

    /// Its value over `samples`; `None` where nothing was observed.
    pub fn of<'a>(
        self,
        samples: impl IntoIterator<Item = &'a Sample>,
        terms: Terms,
    ) -> Option<f64> {
        let samples = samples.into_iter();
        match self {
            Self::Count => Some(samples.count() as f64),
            Self::Rate => {
                let count = samples.count() as f64;
                let length = terms.length.as_secs_f64();
                (length > 0.0).then(|| count / length)
            }
            Self::ErrorRate => share(samples, |outcome| !outcome.is_ok()),
            Self::OkRatio => share(samples, Outcome::is_ok),
            Self::Timeouts => {
                let (hits, all) = tally(samples, |outcome| matches!(outcome, Outcome::Timeout));
                (all > 0).then_some(hits as f64)
            }
            Self::P50 | Self::P95 | Self::P99 | Self::Max => {
                let mut latencies: Vec<f64> = samples
                    .map(|sample| sample.counted_latency(terms.deadline).as_secs_f64())
                    .collect();
                latencies.sort_unstable_by(f64::total_cmp);
                stats::quantile(&latencies, self.quantile().unwrap_or(1.0))
            }
        }
    }
}

fn tally<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    matches: impl Fn(&Outcome) -> bool,
) -> (u64, u64) {
    samples.fold((0, 0), |(hits, all), sample| {
        (hits + u64::from(matches(&sample.outcome)), all + 1)
    })
}

fn share<'a>(
    samples: impl Iterator<Item = &'a Sample>,
    matches: impl Fn(&Outcome) -> bool,
) -> Option<f64> {
    let (hits, all) = tally(samples, matches);
    (all > 0).then(|| hits as f64 / all as f64)
}
