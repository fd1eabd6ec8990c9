//! What is measured of a set of observations, and in what.

use std::time::Duration;

use super::stats;
use crate::event::{Answers, Sample};

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
    /// Number of observations without an answer: none in time, refused, reset, broken.
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
    /// The answers that latencies are taken of.
    pub of: Answers,
}

/// How many observations came out in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// All of them.
    pub all: u64,
    /// Those that were ok.
    pub good: u64,
    /// Those without an answer.
    pub unanswered: u64,
}

impl Tally {
    /// Counts observations.
    pub fn of<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Self {
        let mut tally = Self::default();
        for sample in samples {
            tally.all += 1;
            tally.good += u64::from(sample.outcome.is_ok());
            tally.unanswered += u64::from(!sample.outcome.is_answer());
        }
        tally
    }

    /// Those that were not ok.
    pub const fn failed(self) -> u64 {
        self.all - self.good
    }

    /// Those that are not ok, by all, from 0 to 1; 0 of none.
    pub fn failed_share(self) -> f64 {
        self.failed() as f64 / self.all.max(1) as f64
    }

    /// Answers that a latency is taken of.
    pub const fn answers(self, of: Answers) -> u64 {
        match of {
            Answers::Good => self.good,
            Answers::All => self.all - self.unanswered,
        }
    }
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
            Self::ErrorRate | Self::OkRatio | Self::Timeouts => {
                let tally = Tally::of(samples);
                (tally.all > 0).then(|| match self {
                    Self::ErrorRate => tally.failed_share(),
                    Self::OkRatio => tally.good as f64 / tally.all as f64,
                    _ => tally.unanswered as f64,
                })
            }
            Self::P50 | Self::P95 | Self::P99 | Self::Max => {
                let mut latencies: Vec<f64> = samples
                    .filter_map(|sample| sample.counted_latency(terms.of, terms.deadline))
                    .map(|latency| latency.as_secs_f64())
                    .collect();
                latencies.sort_unstable_by(f64::total_cmp);
                stats::quantile(&latencies, self.quantile().unwrap_or(1.0))
            }
        }
    }
}
