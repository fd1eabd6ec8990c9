//! Whether a service notices a fault in time, and shows it.

mod case;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::check::{About, Check, CheckSpec, Finding, History, Lint, Outlook, lint, show};
use crate::event::Name;
use crate::units::Period;
use case::Case;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Detection;

/// Parameters of a detection check. One of `all_of` and `any_of` is needed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service that must notice.
    pub service: Name,
    /// The fault that it must notice.
    pub fault: Name,
    /// The time that it has, from the first impact on a request.
    pub within: Period,
    /// Signals that must all be given in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<Signal>,
    /// Signals of which one must be given in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Signal>,
}

/// A way of showing that the fault was noticed: exactly one of `probe`, `log` and `closes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// A probe that is answered, and not as wanted. One that gets no answer shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Name>,
    /// What the probe must be answered. Default `not_ok`, the only value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answer>,
    /// A regular expression that a line of the log of the service matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// A proxy at which the service closes a connection that the fault touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Name>,
}

/// What a probe must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An answer that is not what the probe calls ok.
    NotOk,
}

impl Check for Detection {
    const TYPE: &'static str = "detection";
    const SUMMARY: &'static str = "the service notices the fault in time and says so";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Faults(vec![params.fault.clone()])
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found: Vec<Lint> = lint::fault("fault", &params.fault, outlook)
            .into_iter()
            .collect();
        let (key, signals) = params.signals();
        if params.all_of.is_empty() == params.any_of.is_empty() {
            found.push(Lint::error(
                key,
                "a detection check needs either `all_of` or `any_of`",
                "no signal to wait for",
                "write for example `all_of = [{ probe = \"NAME\", answers = \"not_ok\" }]`",
            ));
        }
        for (index, signal) in signals.iter().enumerate() {
            found.extend(lint_signal(
                &format!("{key}[{index}]"),
                signal,
                params,
                outlook,
            ));
        }
        if let Some(length) = lint::shortest(&params.fault, outlook)
            && length <= params.within.get()
        {
            found.push(Lint::warning(
                "within",
                format!(
                    "the check cannot fail: the fault lasts only {}",
                    show::time(length)
                ),
                "not below the length of the fault",
                "let the fault last longer than the bound and one probe period",
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let case = match Case::new(params, spec, history) {
            Ok(case) => case,
            Err(why) => {
                return Finding::inconclusive(spec, why, "mend the signals of the check");
            }
        };
        let occurrences = history.fault(&params.fault);
        let parts = occurrences.iter().map(|one| case.judge(one)).collect();
        Finding::worst_of(parts).expect("the fault was in force at least once")
    }
}

fn lint_signal(key: &str, signal: &Signal, params: &Params, outlook: &Outlook) -> Vec<Lint> {
    let mut found = Vec::new();
    if let Err(why) = signal.watched() {
        let help =
            "write exactly one of `probe`, `log` and `closes`, `log` as a regular expression";
        found.push(Lint::error(key, why, "not a signal", help));
    }
    if signal.log.is_some() {
        let key = format!("{key}.log");
        found.extend(lint::log(&key, &params.service, outlook));
    }
    let Some(probe) = &signal.probe else {
        return found;
    };
    found.extend(lint::source(key, probe, outlook));
    let every = outlook.sources.get(probe).and_then(|brief| brief.interval);
    if let Some(every) = every.filter(|every| *every * 10 > params.within.get()) {
        found.push(Lint::warning(
            key,
            format!("`{probe}` looks only each {}", show::time(every)),
            "too coarse for the bound",
            "let it look ten times within the bound",
        ));
    }
    found
}

impl Params {
    /// The signals with the key that they stand under.
    fn signals(&self) -> (&'static str, &[Signal]) {
        if self.all_of.is_empty() {
            ("any_of", &self.any_of)
        } else {
            ("all_of", &self.all_of)
        }
    }
}

/// A signal, ready to be looked for.
enum Watched<'a> {
    Probe(&'a Name),
    Log(Regex),
    Closes(&'a Name),
}

impl Signal {
    fn watched(&self) -> Result<Watched<'_>, String> {
        match (&self.probe, &self.log, &self.closes) {
            (Some(probe), None, None) => Ok(Watched::Probe(probe)),
            (None, Some(log), None) if self.answers.is_none() => Regex::new(log)
                .map(Watched::Log)
                .map_err(|_| format!("`{log}` is not a regular expression")),
            (None, None, Some(proxy)) if self.answers.is_none() => Ok(Watched::Closes(proxy)),
            (None, _, _) if self.answers.is_some() => Err("`answers` belongs to a probe".into()),
            _ => Err("a signal is one of `probe`, `log` and `closes`".into()),
        }
    }
}

#[cfg(test)]
mod tests;
