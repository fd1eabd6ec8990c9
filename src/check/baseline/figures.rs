use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::check::assertion::ParseError;
use crate::check::judge::judge_one;
use crate::check::metric::{Metric, Tally, Unit};
use crate::check::{self, CheckSpec, History, Window, show};
use crate::event::Name;

/// Figures of a run by name.
pub type Figures = BTreeMap<String, f64>;

/// What is kept of each workload and probe, with the observations that it takes.
pub(in crate::check) const METRICS: [(Metric, u64); 4] = [
    (Metric::P50, ENOUGH),
    (Metric::P95, ENOUGH),
    (Metric::P99, 100),
    (Metric::ErrorRate, ENOUGH),
];

/// Which way a figure grows worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::check) enum Worse {
    /// As a latency.
    Up,
    /// As the share of what went well.
    Down,
}

/// The name of a figure: `SOURCE.METRIC` for the whole schedule, `SOURCE.METRIC@WINDOW` for a part
/// of it, or `CHECK.FIGURE` for what a check measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Figure {
    /// The workload, probe or check.
    pub owner: Name,
    /// What of it, with its unit last (`p95_s`).
    pub what: String,
    /// When; the whole schedule if not said.
    pub window: Option<Window>,
}

/// Observations from which on figures of a workload or probe are kept, and their number.
const ENOUGH: u64 = 20;

/// The figures of a run in which more or less is worse: of workloads and probes, with the number of
/// observations, and of all checks but those that compare with a baseline themselves. Rounded to
/// four digits.
pub fn figures(history: &History) -> Figures {
    let mut found = Figures::new();
    for window in Window::each(history.experiment()) {
        of_sources(history, &window, &mut found);
    }
    for spec in &history.experiment().checks {
        if compares(spec) {
            continue;
        }
        let figures = judge_one(spec, history).figures.into_iter();
        for (what, value) in figures.filter(|(what, _)| worse(what).is_some()) {
            found
                .entry(format!("{}.{what}", spec.name))
                .or_insert(value);
        }
    }
    for value in found.values_mut() {
        *value = rounded(*value);
    }
    found
}

/// Whether a check compares with a baseline itself.
fn compares(spec: &CheckSpec) -> bool {
    let kind = check::kind(&spec.kind);
    kind.is_some_and(|kind| (kind.baseline)(&spec.params).is_some())
}

fn of_sources(history: &History, window: &Window, found: &mut Figures) {
    let Some((from, to)) = window.resolve(history) else {
        return;
    };
    for (source, brief) in &history.experiment().sources {
        // What comes when it likes, as lines of a log, has no latency and no errors.
        if brief.interval.is_none() {
            continue;
        }
        let tally = Tally::of(history.samples_in(source, (from, to)));
        let count = (Metric::Count, ENOUGH);
        for (metric, enough) in METRICS.into_iter().chain([count]) {
            let counted = match metric.unit() {
                Unit::Time => tally.good + tally.unanswered,
                _ => tally.all,
            };
            if counted < enough {
                continue;
            }
            if let Some(value) = history.figure(metric, source, (from, to)) {
                let name = show::figure_name(source, metric);
                let window = Some(window).filter(|window| **window != Window::all());
                let name = window.map_or_else(|| name.clone(), |part| format!("{name}@{part}"));
                found.insert(name, value);
            }
        }
    }
}

/// Which way a figure grows worse; `None` if that cannot be said of it.
pub(in crate::check) fn worse(figure: &str) -> Option<Worse> {
    match last_word(figure) {
        "ok_ratio" | "worst_ok_ratio" | "rate_per_s" | "items_done" => Some(Worse::Down),
        "error_rate"
        | "timeouts"
        | "attempts"
        | "attempts_in_one_second"
        | "lost"
        | "duplicated"
        | "phantom"
        | "resurrected"
        | "bad_slots"
        | "amplification"
        | "sessions_max"
        | "answers_different"
        | "lines_incomplete" => Some(Worse::Up),
        when if when.starts_with("gap_") || when == "dip_at_s" => None,
        time if time.ends_with("_s") => Some(Worse::Up),
        _ => None,
    }
}

/// What a figure is measured in.
pub(in crate::check) fn unit(figure: &str) -> Unit {
    match last_word(figure) {
        rate if rate.ends_with("_per_s") => Unit::Rate,
        time if time.ends_with("_s") => Unit::Time,
        share if share.ends_with("_rate") || share.ends_with("_ratio") => Unit::Share,
        _ => Unit::Number,
    }
}

/// Whether a figure counts what happened, each time by itself.
pub(super) fn counts(figure: &str) -> bool {
    unit(figure) == Unit::Number && last_word(figure) != "amplification"
}

/// The name of the number of observations that a share is of: `reads.count@all` of
/// `reads.error_rate@all`.
pub(super) fn count_of(figure: &str) -> String {
    let (name, window) = figure.split_at(figure.find('@').unwrap_or(figure.len()));
    let owner = name.rsplit_once('.').map_or(name, |(owner, _)| owner);
    format!("{}{window}", show::figure_name(owner, Metric::Count))
}

/// `p95_s` of `searches.p95_s@fault:cut`.
fn last_word(figure: &str) -> &str {
    let name = figure.split('@').next().unwrap_or(figure);
    name.rsplit('.').next().unwrap_or(name)
}

/// To four digits, so that a file of figures can be read.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

impl FromStr for Figure {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let (name, window) = match text.split_once('@') {
            Some((name, window)) => (name, Some(window)),
            None => (text, None),
        };
        let Some((owner, what)) = name
            .split_once('.')
            .filter(|(owner, what)| !owner.is_empty() && !what.is_empty())
        else {
            return Err(ParseError::new(
                0..text.len(),
                format!("`{text}` names no figure"),
                "write `SOURCE.METRIC`, for example `searches.p95_s`, or `CHECK.FIGURE`",
            ));
        };
        let window = window.map(str::parse::<Window>).transpose()?;
        Ok(Self {
            owner: owner.into(),
            what: what.to_owned(),
            window: window.filter(|window| *window != Window::all()),
        })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.owner, self.what)?;
        match &self.window {
            Some(window) => write!(f, "@{window}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for Figure {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Figure> for String {
    fn from(figure: Figure) -> Self {
        figure.to_string()
    }
}

impl schemars::JsonSchema for Figure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`SOURCE.METRIC`, `SOURCE.METRIC@WINDOW` or `CHECK.FIGURE`; metrics are \
                p50_s, p95_s, p99_s and error_rate.",
            "examples": ["searches.p95_s", "searches.p95_s@fault:slow-disk"],
        })
    }
}
