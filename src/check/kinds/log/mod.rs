//! Whether a service says in its log what it must, in the form it must, and no more than it may.

use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, Lint, LogLine, Outlook, Verdict, Window,
    exercise, lint, show,
};
use crate::event::Name;
use crate::units::{Moment, Rate};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Log;

/// Parameters of a log check. At least one of `contains`, `absent`, `fields` and `max_rate` is
/// needed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service whose log is read.
    pub service: Name,
    /// The time in which it is read. Default `all`.
    #[serde(default = "Window::all")]
    pub during: Window,
    /// Regular expressions; each must match a line.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Regular expressions; none may match a line.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Fields that lines of JSON must carry; `a.b` is field `b` of `a`.
    #[serde(default)]
    pub fields: Vec<String>,
    /// The lines that must carry the fields, as a regular expression. Default: every line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<String>,
    /// The most lines in any second, for example `100/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
}

/// Lines that a run records of a service in one second; beyond it nothing can be told apart.
const RECORDED_PER_SECOND: f64 = 2_000.0;
impl Check for Log {
    const TYPE: &'static str = "log";
    const SUMMARY: &'static str = "the log says what it must, in its form, and not too often";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn met_by_silence(params: &Params) -> bool {
        !params.absent.is_empty() || params.max_rate.is_some()
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::log("service", &params.service, outlook));
        let patterns = [("contains", &params.contains), ("absent", &params.absent)];
        for (key, texts) in patterns {
            for (index, text) in texts.iter().enumerate() {
                found.extend(lint::regex(&format!("{key}[{index}]"), text));
            }
        }
        found.extend(
            params
                .lines
                .as_ref()
                .and_then(|text| lint::regex("lines", text)),
        );
        let empty = params.contains.is_empty() && params.absent.is_empty();
        if empty && params.fields.is_empty() && params.max_rate.is_none() {
            found.push(Lint::error(
                "service",
                "nothing is demanded",
                "of its log",
                "add `contains`, `absent`, `fields` or `max_rate`",
            ));
        }
        if params
            .max_rate
            .is_some_and(|rate| rate.get() >= RECORDED_PER_SECOND)
        {
            found.push(Lint::error(
                "max_rate",
                "the check cannot fail",
                "no more than 2000 lines of a second are recorded",
                "lower `max_rate`",
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        exercise::over(&params.during, spec, history, |window| {
            read(params, spec, history, window)
        })
    }
}

fn read(params: &Params, spec: &CheckSpec, history: &History, window: (Moment, Moment)) -> Finding {
    let service = &params.service;
    let (all, lines_missing) = (
        history.logs(service),
        history.lines_missing(service, window),
    );
    if all.is_empty() {
        let why = format!("no line of the log of `{service}` was seen");
        let help = "set `log` of the service to where it writes its log";
        return match lines_missing {
            None => Finding::inconclusive(spec, why, help),
            Some(missing) => {
                Finding::inconclusive(spec, format!("{why}; {missing}"), exercise::UNREAD)
            }
        };
    }
    let within = |line: &&LogLine| line.at >= window.0 && line.at < window.1;
    let reading = Reading {
        params,
        spec,
        window,
        lines: all.iter().filter(within).collect(),
        lines_missing,
        text_missing: history.text_missing(service, window),
    };
    let mut finding = Finding::new(spec, Verdict::Pass, "");
    reading.contains(&mut finding);
    reading.absent(&mut finding);
    reading.fields(&mut finding);
    reading.rate(&mut finding);
    finding.decide();
    advise(&mut finding, reading.text_missing.is_some());
    finding
}

/// The lines of the window, held against each demand.
struct Reading<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    window: (Moment, Moment),
    lines: Vec<&'a LogLine>,
    /// Why there may have been more lines, if so.
    lines_missing: Option<String>,
    /// Why a text may have been said that no line shows, if so.
    text_missing: Option<String>,
}

impl Reading<'_> {
    fn contains(&self, finding: &mut Finding) {
        for (index, text) in self.params.contains.iter().enumerate() {
            let (verdict, measured) = match self.matches(text) {
                Err(why) => (Verdict::Inconclusive, why),
                Ok(0) => unless(
                    self.text_missing.as_ref(),
                    Verdict::Fail,
                    format!("no line says `{text}`"),
                ),
                Ok(count) => {
                    let lines = show::plural(count, "line");
                    (Verdict::Pass, format!("{lines} like `{text}`"))
                }
            };
            let expected = format!("a line like `{text}`");
            self.support(
                finding,
                verdict,
                &format!("contains[{index}]"),
                expected,
                measured,
            );
        }
    }

    fn absent(&self, finding: &mut Finding) {
        for (index, text) in self.params.absent.iter().enumerate() {
            let (verdict, measured) = match self.matches(text) {
                Err(why) => (Verdict::Inconclusive, why),
                Ok(0) => unless(
                    self.text_missing.as_ref(),
                    Verdict::Pass,
                    format!("no line says `{text}`"),
                ),
                Ok(count) => {
                    let lines = show::plural(count, "line");
                    (Verdict::Fail, format!("{lines} like `{text}`"))
                }
            };
            let expected = format!("no line like `{text}`");
            self.support(
                finding,
                verdict,
                &format!("absent[{index}]"),
                expected,
                measured,
            );
        }
    }

    fn fields(&self, finding: &mut Finding) {
        if self.params.fields.is_empty() {
            return;
        }
        let wanted = match self.params.lines.as_deref().map(Regex::new).transpose() {
            Ok(wanted) => wanted,
            Err(error) => {
                let expected = "lines with fields";
                return self.support(
                    finding,
                    Verdict::Inconclusive,
                    "lines",
                    expected,
                    error.to_string(),
                );
            }
        };
        let judged: Vec<&str> = self
            .lines
            .iter()
            // Its JSON was cut, too.
            .filter(|line| !line.cut)
            .map(|line| line.text.as_str())
            .filter(|line| wanted.as_ref().is_none_or(|wanted| wanted.is_match(line)))
            .collect();
        let count = judged.len() as u64;
        let lacking: Vec<String> = judged
            .iter()
            .filter_map(|line| lack(line, &self.params.fields))
            .collect();
        let (verdict, measured) = match lacking.first() {
            None if count == 0 => (Verdict::Inconclusive, "no line to look at".to_owned()),
            None => unless(
                self.text_missing.as_ref(),
                Verdict::Pass,
                format!("{} with every field", show::plural(count, "line")),
            ),
            Some(first) => (
                Verdict::Fail,
                format!(
                    "{} of {} incomplete: {first}",
                    lacking.len(),
                    show::plural(count, "line")
                ),
            ),
        };
        let expected = format!("JSON with {}", self.params.fields.join(", "));
        self.support(finding, verdict, "fields", expected, measured);
        finding.figure("lines_incomplete", lacking.len() as f64);
    }

    fn rate(&self, finding: &mut Finding) {
        let Some(limit) = self.params.max_rate else {
            return;
        };
        let times: Vec<Moment> = self.lines.iter().map(|line| line.at).collect();
        let most = busiest_second(&times);
        let measured = format!("at most {} in a second", show::plural(most, "line"));
        let (verdict, measured) = if most as f64 > limit.get() {
            (Verdict::Fail, measured)
        } else {
            unless(self.lines_missing.as_ref(), Verdict::Pass, measured)
        };
        let expected = format!("at most {limit}");
        self.support(finding, verdict, "max_rate", expected, measured);
        finding.figure("lines_per_s", most as f64);
    }

    fn matches(&self, pattern: &str) -> Result<u64, String> {
        let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
        let lines = self.lines.iter();
        let matching = lines.filter(|line| pattern.is_match(&line.text));
        Ok(matching.count() as u64)
    }

    fn support(
        &self,
        finding: &mut Finding,
        verdict: Verdict,
        key: &str,
        expected: impl Into<String>,
        measured: String,
    ) {
        let evidence = Evidence::new(verdict, self.spec, key, expected, measured);
        let samples = self.lines.len() as u64;
        finding.evidence.push(evidence.over(self.window, samples));
    }
}

/// A verdict with its reason, unless what was not seen may be otherwise.
fn unless(missing: Option<&String>, verdict: Verdict, measured: String) -> (Verdict, String) {
    match missing {
        None => (verdict, measured),
        Some(missing) => (Verdict::Inconclusive, format!("{measured}, but {missing}")),
    }
}

/// What a line lacks, if anything, with the beginning of the line.
fn lack(line: &str, fields: &[String]) -> Option<String> {
    const SHOWN: usize = 80;
    let shown: String = line.chars().take(SHOWN).collect();
    let Ok(document @ Value::Object(_)) = serde_json::from_str::<Value>(line) else {
        return Some(format!("no JSON object in `{shown}`"));
    };
    let missing = fields.iter().find(|field| {
        let found = field
            .split('.')
            .try_fold(&document, |at, name| at.get(name));
        found.is_none_or(Value::is_null)
    })?;
    Some(format!("no `{missing}` in `{shown}`"))
}

/// The most of these moments, which are in order, that lie within one second.
fn busiest_second(times: &[Moment]) -> u64 {
    let mut first = 0;
    let mut most = 0;
    for (index, at) in times.iter().enumerate() {
        while at.since(times[first]) >= Duration::from_secs(1) {
            first += 1;
        }
        most = most.max(index + 1 - first);
    }
    most as u64
}

fn advise(finding: &mut Finding, missing: bool) {
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(
            "say once what happened, when it happens, in one line that a program can read; count \
             repetitions instead of repeating them"
                .to_owned(),
        ),
        Verdict::Inconclusive if missing => Some(exercise::UNREAD.to_owned()),
        Verdict::Inconclusive => {
            Some("let the service do something in the window that it logs".to_owned())
        }
    };
}

#[cfg(test)]
mod tests;
