//! `SOURCE.METRIC OP VALUE [of baseline] [for DURATION]`: the one grammar of assertions.
//!
//! The steady state, abort conditions and checks all use it. This module parses, shows and
//! measures; what follows from a measurement is for the caller to decide.

mod parse;
mod watch;

pub use parse::ParseError;
pub use watch::Watch;

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{show, stats};
use crate::event::{Name, Outcome, Sample};
use crate::units::{Period, Rate, Share};

/// One demand on the observations of one workload or probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Assertion {
    /// The workload or probe.
    pub source: Name,
    /// What of it.
    pub metric: Metric,
    /// How it compares.
    pub op: Op,
    /// With what.
    pub value: Value,
    /// How long it must hold without a break; `None` judges a window as a whole.
    pub lasting: Option<Period>,
}

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

/// How a measurement compares with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `>`
    Above,
}

/// What a measurement is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A share of the observations.
    Share(Share),
    /// A latency.
    Time(Period),
    /// A number of observations.
    Number(f64),
    /// Observations per second.
    Rate(Rate),
    /// A multiple of the same metric in the baseline; 1.25 is `125% of baseline`.
    OfBaseline(f64),
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

/// An assertion, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// The metric that was measured.
    pub metric: Metric,
    /// Its value in its unit (fraction, seconds, number, number per second); `None` without
    /// observations.
    pub value: Option<f64>,
    /// What it was compared with; `None` if that needs a baseline and there is none.
    pub limit: Option<f64>,
    /// How it was compared.
    pub op: Op,
    /// The number of observations.
    pub samples: u64,
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

    /// Its value over `samples`, which were taken in `length`; `None` where nothing was observed.
    pub fn of<'a>(
        self,
        samples: impl IntoIterator<Item = &'a Sample>,
        length: Duration,
    ) -> Option<f64> {
        let samples = samples.into_iter();
        match self {
            Self::Count => Some(samples.count() as f64),
            Self::Rate => {
                let count = samples.count() as f64;
                (!length.is_zero()).then(|| count / length.as_secs_f64())
            }
            Self::ErrorRate => share(samples, |outcome| !outcome.is_ok()),
            Self::OkRatio => share(samples, Outcome::is_ok),
            Self::Timeouts => {
                let (hits, all) = tally(samples, |outcome| matches!(outcome, Outcome::Timeout));
                (all > 0).then_some(hits as f64)
            }
            Self::P50 | Self::P95 | Self::P99 | Self::Max => {
                let mut latencies: Vec<f64> = samples
                    .map(|sample| sample.latency().as_secs_f64())
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

impl Op {
    /// Whether `left OP right`. Equality allows for the rounding of floating point numbers.
    pub fn holds(self, left: f64, right: f64) -> bool {
        let equal = (left - right).abs() <= 1e-9 * left.abs().max(right.abs()).max(1.0);
        match self {
            Self::Equal => equal,
            Self::NotEqual => !equal,
            Self::AtMost => equal || left < right,
            Self::AtLeast => equal || left > right,
            Self::Below => !equal && left < right,
            Self::Above => !equal && left > right,
        }
    }
}

impl Value {
    /// The number to compare with, in the unit of the metric.
    pub fn limit(self, baseline: Option<f64>) -> Option<f64> {
        match self {
            Self::Share(share) => Some(share.fraction()),
            Self::Time(period) => Some(period.as_secs_f64()),
            Self::Number(number) => Some(number),
            Self::Rate(rate) => Some(rate.get()),
            Self::OfBaseline(factor) => baseline.map(|value| factor * value),
        }
    }
}

impl Assertion {
    /// Measures `samples`, which must all be of its source and were taken in `length`. `baseline`
    /// is the value of the same metric in the baseline, see [`Metric::of`].
    pub fn measure<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a Sample>,
        length: Duration,
        baseline: Option<f64>,
    ) -> Measured {
        let mut count = 0;
        let counted = samples.into_iter().inspect(|_| count += 1);
        let value = self.metric.of(counted, length);
        Measured {
            metric: self.metric,
            value,
            limit: self.value.limit(baseline),
            op: self.op,
            samples: count,
        }
    }

    /// Whether it needs a baseline.
    pub const fn needs_baseline(&self) -> bool {
        matches!(self.value, Value::OfBaseline(_))
    }
}

impl Measured {
    /// Whether the assertion holds; `None` if nothing was observed or the baseline is missing.
    pub fn holds(&self) -> Option<bool> {
        Some(self.op.holds(self.value?, self.limit?))
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value {
            Some(value) => write!(
                f,
                "{} {} over {}",
                self.metric.name(),
                show::figure(self.metric.unit(), value),
                show::samples(self.samples)
            ),
            None => write!(f, "{} of no samples", self.metric.name()),
        }
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::AtMost => "<=",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::Above => ">",
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::Time(period) => period.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Rate(rate) => rate.fmt(f),
            Self::OfBaseline(factor) => {
                write!(f, "{}% of baseline", (factor * 1e8).round() / 1e6)
            }
        }
    }
}

impl fmt::Display for Assertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, metric) = (&self.source, self.metric.name());
        write!(f, "{source}.{metric} {} {}", self.op, self.value)?;
        match self.lasting {
            Some(period) => write!(f, " for {period}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Assertion {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Assertion> for String {
    fn from(assertion: Assertion) -> Self {
        assertion.to_string()
    }
}

impl schemars::JsonSchema for Assertion {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Assertion".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`SOURCE.METRIC OP VALUE [of baseline] [for DURATION]`; metrics are \
                error_rate, ok_ratio, p50, p95, p99, max, timeouts, count and rate.",
            "examples": ["workflow-reads.error_rate == 0%", "workflow-reads.p95 <= 125% of baseline"],
        })
    }
}
