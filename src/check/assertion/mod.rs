//! `SOURCE.METRIC OP VALUE [of baseline] [for DURATION]`: the one grammar of assertions.
//!
//! The steady state, abort conditions and checks all use it. This module parses, shows and
//! measures; what follows from a measurement is for the caller to decide.

mod parse;
mod watch;

pub use parse::ParseError;
pub use watch::Watch;

use std::fmt;

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Terms};
use super::show;
use crate::event::{Name, Sample};
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
    /// Measures `samples`, which must all be of its source. `baseline` is the value of the same
    /// metric in the baseline, see [`Metric::of`].
    pub fn measure<'a>(
        &self,
        samples: impl IntoIterator<Item = &'a Sample>,
        terms: Terms,
        baseline: Option<f64>,
    ) -> Measured {
        let mut count = 0;
        let counted = samples.into_iter().inspect(|_| count += 1);
        let value = self.metric.of(counted, terms);
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
