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

use super::metric::{Metric, Tally, Terms, Unit};
use super::show;
use crate::event::{Answers, Name, Sample};
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
    /// The terms on which it was measured.
    pub terms: Terms,
    /// The observations.
    pub tally: Tally,
    /// Whether there may have been more observations than were seen.
    pub partial: bool,
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
        let samples: Vec<&Sample> = samples.into_iter().collect();
        Measured {
            metric: self.metric,
            value: self.metric.of(samples.iter().copied(), terms),
            limit: self.value.limit(baseline),
            op: self.op,
            terms,
            tally: Tally::of(samples),
            partial: false,
        }
    }

    /// Whether it needs a baseline.
    pub const fn needs_baseline(&self) -> bool {
        matches!(self.value, Value::OfBaseline(_))
    }
}

impl Measured {
    /// Whether the assertion holds; `None` if nothing was observed, the baseline is missing, or the
    /// latency is that of an observation without an answer, which may have taken any time beyond its
    /// deadline; or if it depends on observations that were not seen.
    pub fn holds(&self) -> Option<bool> {
        let holds = self.op.holds(self.value?, self.limit?);
        let at_most = matches!(self.op, Op::AtMost | Op::Below | Op::Equal);
        let beyond = holds && at_most && self.is_beyond_deadline();
        (!beyond && self.is_settled(holds)?).then_some(holds)
    }

    /// Whether more observations than were seen would change nothing: they can only raise a count.
    fn is_settled(&self, holds: bool) -> Option<bool> {
        Some(match self.op {
            _ if !self.partial => true,
            Op::AtLeast | Op::Above => holds,
            Op::AtMost | Op::Below => !holds,
            Op::Equal | Op::NotEqual => Op::Above.holds(self.value?, self.limit?),
        })
    }

    fn is_beyond_deadline(&self) -> bool {
        let deadline = self.terms.deadline.as_secs_f64();
        self.metric.unit() == Unit::Time
            && self.tally.unanswered > 0
            && self.value.is_some_and(|value| value >= deadline)
    }

    /// How many observations it rests on if it holds, or if it does not. Only answers show that a
    /// latency is kept; those that never came may show that it is not.
    pub const fn weight(&self, holds: bool) -> u64 {
        match self.metric.unit() {
            Unit::Time => {
                let answers = self.tally.answers(self.terms.of);
                answers + if holds { 0 } else { self.tally.unanswered }
            }
            Unit::Share | Unit::Number | Unit::Rate => self.tally.all,
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metric, unit, tally) = (self.metric.name(), self.metric.unit(), self.tally);
        match self.value {
            Some(value) => write!(f, "{metric} {} over ", show::figure(unit, value))?,
            None if tally.all == 0 => return write!(f, "{metric} of no samples"),
            None => write!(f, "{metric} of ")?,
        }
        if unit != Unit::Time || tally.failed() == 0 {
            f.write_str(&show::samples(tally.all))?;
            let unseen = ", and part of the log was not seen";
            return f.write_str(if self.partial { unseen } else { "" });
        }
        let answers = match self.terms.of {
            Answers::Good => "good answer",
            Answers::All => "answer",
        };
        f.write_str(&show::plural(tally.answers(self.terms.of), answers))?;
        if tally.unanswered > 0 {
            write!(f, " and {} unanswered", tally.unanswered)?;
        }
        write!(f, " ({} failed)", show::percent(tally.failed_share()))
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
