use std::ops::Range;
use std::str::FromStr;

use super::{Assertion, Op, Value};
use crate::check::metric::{Metric, Unit};
use crate::diag::did_you_mean;
use crate::units::{Period, Rate, Share};

/// Why a text is not an assertion or a window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {help}")]
pub struct ParseError {
    /// The bytes of the text that are at fault.
    pub range: Range<usize>,
    /// What is wrong, in one line.
    pub message: String,
    /// What to write instead.
    pub help: String,
}

impl ParseError {
    pub(in crate::check) fn new(
        range: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            range,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// A part of the text, without blanks around it.
#[derive(Clone, Copy)]
struct Part<'a> {
    text: &'a str,
    start: usize,
}

impl<'a> Part<'a> {
    fn of(whole: &'a str, range: Range<usize>) -> Self {
        let raw = &whole[range.clone()];
        let text = raw.trim();
        let start = range.start + (raw.len() - raw.trim_start().len());
        Self { text, start }
    }

    fn range(self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

impl FromStr for Assertion {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (op, at) = operator(text)?;
        let (source, metric) = subject(Part::of(text, 0..at.start))?;
        let (value, lasting) = clauses(text, at.end)?;
        if value.text.is_empty() {
            return Err(ParseError::new(
                at.clone(),
                format!("nothing to compare with after `{op}`"),
                format!("write {}", wanted(metric)),
            ));
        }
        let value = parse_value(metric, value)?;
        let lasting = lasting.map(parse_lasting).transpose()?;
        Ok(Self {
            source: source.into(),
            metric,
            op,
            value,
            lasting,
        })
    }
}

fn operator(text: &str) -> Result<(Op, Range<usize>), ParseError> {
    const OPS: [(&str, Op); 6] = [
        ("==", Op::Equal),
        ("!=", Op::NotEqual),
        ("<=", Op::AtMost),
        (">=", Op::AtLeast),
        ("<", Op::Below),
        (">", Op::Above),
    ];
    let help = "write `SOURCE.METRIC OP VALUE` with one of ==, !=, <=, >=, <, >, \
                such as `workflow-reads.error_rate == 0%`";
    let Some(start) = text.find(['=', '!', '<', '>']) else {
        return Err(ParseError::new(0..text.len(), "no comparison", help));
    };
    let rest = &text[start..];
    OPS.iter()
        .find(|(name, _)| rest.starts_with(name))
        .map(|(name, op)| (*op, start..start + name.len()))
        .ok_or_else(|| ParseError::new(start..start + 1, "unknown comparison", help))
}

fn subject(part: Part<'_>) -> Result<(&str, Metric), ParseError> {
    let names = Metric::ALL.map(|(name, _)| name);
    let Some((source, metric)) = part.text.rsplit_once('.') else {
        return Err(ParseError::new(
            part.range(),
            format!("`{}` is not SOURCE.METRIC", part.text),
            "write the workload or probe, a dot and the metric, such as `workflow-reads.p95`",
        ));
    };
    if source.is_empty() || source.contains(char::is_whitespace) {
        return Err(ParseError::new(
            part.range(),
            "the name of a workload or probe is missing in front of the metric",
            "write for example `workflow-reads.p95`",
        ));
    }
    let found = Metric::ALL.iter().find(|(name, _)| *name == metric);
    found.map(|(_, metric)| (source, *metric)).ok_or_else(|| {
        let start = part.start + source.len() + 1;
        let is_percentile = metric
            .strip_prefix('p')
            .is_some_and(|rest| rest.parse::<f64>().is_ok());
        let help = match did_you_mean(metric, names) {
            // Near in writing is not near in meaning.
            _ if is_percentile => "the percentiles are p50, p95, p99 and max".to_owned(),
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the metrics are {}", names.join(", ")),
        };
        ParseError::new(
            start..start + metric.len(),
            format!("unknown metric `{metric}`"),
            help,
        )
    })
}

/// The value with its `of baseline`, and what follows `for`.
fn clauses(text: &str, from: usize) -> Result<(Part<'_>, Option<Part<'_>>), ParseError> {
    let rest = &text[from..];
    let Some(keyword) = word(rest, "for") else {
        return Ok((Part::of(text, from..text.len()), None));
    };
    let lasting = Part::of(text, from + keyword + 3..text.len());
    if lasting.text.is_empty() {
        return Err(ParseError::new(
            from + keyword..from + keyword + 3,
            "no duration after `for`",
            "write for example `for 5s`",
        ));
    }
    Ok((Part::of(text, from..from + keyword), Some(lasting)))
}

/// Where `wanted` stands as a whole word.
fn word(text: &str, wanted: &str) -> Option<usize> {
    text.split_whitespace()
        .find(|candidate| *candidate == wanted)
        .map(|found| found.as_ptr().addr() - text.as_ptr().addr())
}

fn parse_value(metric: Metric, part: Part<'_>) -> Result<Value, ParseError> {
    if let Some(of) = word(part.text, "of") {
        if part.text[of + 2..].trim() != "baseline" {
            return Err(ParseError::new(
                part.start + of..part.range().end,
                format!("`{}` is not a reference", &part.text[of..]),
                "write `of baseline`",
            ));
        }
        return of_baseline(Part::of(part.text, 0..of).text)
            .map(Value::OfBaseline)
            .ok_or_else(|| {
                ParseError::new(
                    part.range(),
                    "only a percentage can be `of baseline`",
                    "write for example `125% of baseline`",
                )
            });
    }
    let parsed = match metric.unit() {
        Unit::Share => part.text.parse::<Share>().ok().map(Value::Share),
        Unit::Time => part.text.parse::<Period>().ok().map(Value::Time),
        Unit::Rate => part.text.parse::<Rate>().ok().map(Value::Rate),
        Unit::Number => part
            .text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite() && *number >= 0.0)
            .map(Value::Number),
    };
    parsed.ok_or_else(|| {
        ParseError::new(
            part.range(),
            format!("`{}` does not fit `{}`", part.text, metric.name()),
            format!("write {}", wanted(metric)),
        )
    })
}

fn of_baseline(text: &str) -> Option<f64> {
    let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
    (percent.is_finite() && percent >= 0.0).then_some(percent / 100.0)
}

fn parse_lasting(part: Part<'_>) -> Result<Period, ParseError> {
    part.text
        .parse::<Period>()
        .ok()
        .filter(|period| !period.is_zero())
        .ok_or_else(|| {
            ParseError::new(
                part.range(),
                format!("`{}` is not a duration", part.text),
                "write for example `for 5s`",
            )
        })
}

const fn wanted(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Share => "a percentage such as `1%`",
        Unit::Time => "a duration such as `50ms`, or a percentage `of baseline`",
        Unit::Number => "a number such as `0`",
        Unit::Rate => "a rate such as `20/s`",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, canonical: &str) {
        let parsed: Assertion = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(parsed.to_string(), canonical);
        assert_eq!(
            canonical.parse(),
            Ok(parsed),
            "the canonical text reads back"
        );
    }

    fn refuse(text: &str, at: &str, message: &str, help: &str) {
        let error = text.parse::<Assertion>().unwrap_err();
        assert_eq!(&text[error.range.clone()], at, "{error}");
        assert_eq!(error.message, message);
        assert!(error.help.contains(help), "{}", error.help);
    }

    #[test]
    fn assertions_read_back_as_their_canonical_text() {
        check(
            "workflow-reads.error_rate == 0%",
            "workflow-reads.error_rate == 0%",
        );
        check(
            "  workflow-reads.p95<=125%  of  baseline ",
            "workflow-reads.p95 <= 125% of baseline",
        );
        check(
            "reads.error_rate > 50% for 5s",
            "reads.error_rate > 50% for 5s",
        );
        check("health.p99 <= 50 ms", "health.p99 <= 50ms");
        check("a.b.timeouts == 0", "a.b.timeouts == 0");
        check("a.rate >= 20/s", "a.rate >= 20/s");
        check("a.count != 3", "a.count != 3");
        check("a.max < 1s", "a.max < 1s");
        check("a.ok_ratio >= 99.9%", "a.ok_ratio >= 99.9%");
    }

    #[test]
    fn mistakes_are_underlined_and_say_what_to_write() {
        refuse(
            "a.p59 < 1s",
            "p59",
            "unknown metric `p59`",
            "the percentiles are p50, p95, p99 and max",
        );
        refuse(
            "a.cuont < 1",
            "cuont",
            "unknown metric `cuont`",
            "did you mean `count`?",
        );
        refuse(
            "a.speed < 1s",
            "speed",
            "unknown metric `speed`",
            "the metrics are error_rate",
        );
        refuse("a.p95 <= 5", "5", "`5` does not fit `p95`", "`50ms`");
        refuse(
            "a.error_rate == 0",
            "0",
            "`0` does not fit `error_rate`",
            "`1%`",
        );
        refuse(
            "a.timeouts == 0%",
            "0%",
            "`0%` does not fit `timeouts`",
            "`0`",
        );
        refuse(
            "a.p95 <= 5ms of baseline",
            "5ms of baseline",
            "only a percentage can be `of baseline`",
            "125%",
        );
        refuse(
            "a.p95 <= 125% of yesterday",
            "of yesterday",
            "`of yesterday` is not a reference",
            "of baseline",
        );
        refuse("a.p95", "a.p95", "no comparison", "OP VALUE");
        refuse("a.p95 = 5ms", "=", "unknown comparison", "==");
        refuse("p95 < 5ms", "p95", "`p95` is not SOURCE.METRIC", "a dot");
        refuse(
            "a.p95 <",
            "<",
            "nothing to compare with after `<`",
            "`50ms`",
        );
        refuse(
            "a.p95 < 5ms for",
            "for",
            "no duration after `for`",
            "for 5s",
        );
        refuse(
            "a.p95 < 5ms for ever",
            "ever",
            "`ever` is not a duration",
            "for 5s",
        );
    }

    #[test]
    fn in_a_file_an_assertion_is_a_string() {
        let read: Assertion = serde_json::from_str("\"a.p95 < 5ms\"").unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), "\"a.p95 < 5ms\"");
        let error = serde_json::from_str::<Assertion>("\"a.p96 < 5ms\"").unwrap_err();
        assert!(
            error.to_string().contains("unknown metric `p96`"),
            "{error}"
        );
    }
}
