use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::MetricOk;
use super::{Look, ProbeProblem, http};
use crate::event::Outcome;
use crate::http::{Answer, Call, Client};

/// Bytes of a page that are read. A longer one is no answer: what stands behind them may be the
/// series that matters.
const KEEP: usize = 4 << 20;

/// Reads one metric of a page in the exposition format of Prometheus.
#[derive(Debug)]
pub(super) struct Prometheus {
    pub(super) client: Client,
    pub(super) page: Page,
}

/// The page and what it must say.
#[derive(Debug)]
pub(super) struct Page {
    path: String,
    metric: String,
    labels: BTreeMap<String, String>,
    ok: MetricOk,
}

impl Look for Prometheus {
    async fn look(&self, deadline: Duration) -> Outcome {
        let call = Call::get(&self.page.path, KEEP);
        let answer = self.client.call(call, deadline).await;
        answer.map_or_else(Outcome::from, |answer| self.page.judge(&answer))
    }
}

impl Page {
    pub(super) fn new(
        path: &str,
        metric: &str,
        labels: &BTreeMap<String, String>,
        ok: MetricOk,
    ) -> Result<Self, ProbeProblem> {
        http::check_path(path)?;
        Ok(Self {
            path: path.to_owned(),
            metric: metric.to_owned(),
            labels: labels.clone(),
            ok,
        })
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let status = Some(answer.status);
        let why = match answer.status {
            200..300 if !answer.is_whole() => {
                let (length, kept) = (answer.length, KEEP >> 20);
                let why = format!(
                    "the page has {length} bytes, and no more than {kept} MiB are read of one"
                );
                return Outcome::Broken { why };
            }
            200..300 => self.objection(&String::from_utf8_lossy(&answer.body)),
            other => Some(format!("status {other}, expected 2xx")),
        };
        match why {
            None => Outcome::Ok { status },
            Some(why) => Outcome::NotOk { status, why },
        }
    }

    /// What is not as wanted, if anything: every series with the labels must be.
    fn objection(&self, page: &str) -> Option<String> {
        let mut series = page
            .lines()
            .filter_map(Series::parse)
            .filter(|series| series.name == self.metric && series.has(&self.labels))
            .peekable();
        if series.peek().is_none() {
            return Some(format!("no `{}` with these labels", self.metric));
        }
        series.find_map(|series| self.ok.objection(&self.metric, series.value))
    }
}

/// One line of the page.
#[derive(Debug, PartialEq)]
struct Series<'a> {
    name: &'a str,
    labels: Vec<(&'a str, String)>,
    value: f64,
}

impl<'a> Series<'a> {
    /// `name{label="value",…} 1.5 [timestamp]`; `None` for comments and anything else.
    fn parse(line: &'a str) -> Option<Self> {
        let line = line.trim();
        let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
        let (name, rest) = line.split_at(end);
        if name.is_empty() || name.starts_with('#') {
            return None;
        }
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest)?,
            None => (Vec::new(), rest),
        };
        let value = rest.split_whitespace().next()?.parse().ok()?;
        Some(Self {
            name,
            labels,
            value,
        })
    }

    fn has(&self, wanted: &BTreeMap<String, String>) -> bool {
        wanted.iter().all(|(name, value)| {
            let mut labels = self.labels.iter();
            labels.any(|(found, text)| found == name && text == value)
        })
    }
}

/// The labels up to the closing brace, and what follows it.
fn labels(mut rest: &str) -> Option<(Vec<(&str, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (name, behind) = rest.split_once('=')?;
        let mut text = String::new();
        let mut letters = behind.trim_start().strip_prefix('"')?.chars();
        loop {
            match letters.next()? {
                '"' => break,
                '\\' => text.push(match letters.next()? {
                    'n' => '\n',
                    other => other,
                }),
                other => text.push(other),
            }
        }
        labels.push((name.trim(), text));
        rest = letters.as_str();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# HELP pool_connections Connections by state.\n\
        # TYPE pool_connections gauge\n\
        pool_connections{pool=\"db\",state=\"used\"} 7\n\
        pool_connections{state=\"idle\", pool=\"db\",} 3 1395066363000\n\
        requests_total 1.5e+03\n\
        odd{path=\"C:\\\\a \\\"b\\\"} {\"} NaN\n";

    fn page(metric: &str, labels: &[(&str, &str)], ok: MetricOk) -> Page {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Page::new("/metrics", metric, &labels, ok).unwrap()
    }

    fn below(limit: f64) -> MetricOk {
        MetricOk {
            below: Some(limit),
            above: None,
        }
    }

    fn above(limit: f64) -> MetricOk {
        MetricOk {
            below: None,
            above: Some(limit),
        }
    }

    #[test]
    fn each_series_with_the_labels_must_lie_within_the_bounds() {
        let used = [("state", "used")];
        let objection = |labels: &[_], ok| page("pool_connections", labels, ok).objection(PAGE);
        assert_eq!(objection(&used, below(8.0)), None);
        assert_eq!(
            objection(&used, below(7.0)).unwrap(),
            "`pool_connections` is 7, expected below 7"
        );
        assert_eq!(objection(&[], above(2.0)), None);
        assert_eq!(
            objection(&[], above(3.0)).unwrap(),
            "`pool_connections` is 3, expected above 3"
        );
        assert_eq!(objection(&[], MetricOk::default()), None);
        assert_eq!(
            page("requests_total", &[], above(1499.0)).objection(PAGE),
            None
        );
    }

    #[test]
    fn a_metric_that_is_not_there_is_not_ok() {
        for (metric, labels) in [
            ("pool", &[][..]),
            ("pool_connections", &[("state", "broken")][..]),
        ] {
            let why = page(metric, labels, MetricOk::default()).objection(PAGE);
            assert_eq!(why.unwrap(), format!("no `{metric}` with these labels"));
        }
    }

    #[test]
    fn labels_may_hold_anything_and_no_number_is_within_no_bounds() {
        let labels = [("path", "C:\\a \"b\"} {")];
        assert_eq!(
            page("odd", &labels, MetricOk::default()).objection(PAGE),
            None
        );
        assert!(page("odd", &labels, below(1.0)).objection(PAGE).is_some());
        for line in ["", "# x 1", "x", "x{a=\"b\" 1", "x one"] {
            assert_eq!(Series::parse(line), None, "{line}");
        }
    }
}
