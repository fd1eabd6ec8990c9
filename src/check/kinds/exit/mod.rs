//! Whether a process that cannot do its work ends, says why, and never pretends to be ready.

use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, lint, show,
};
use crate::event::{Fact, Name, ServiceChange};
use crate::units::{Moment, Period};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Exit;

/// Parameters of an exit check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service whose process must end.
    pub service: Name,
    /// The fault under which it is started: each start while it is in force counts. Default: each
    /// start of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Name>,
    /// The exit code. Default: any but 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// Regular expressions; its log must match each, from the start to the end of the process.
    #[serde(default)]
    pub text: Vec<String>,
    /// The time that it has, from its start. Default 10s.
    #[serde(default = "ten_seconds")]
    pub within: Period,
}

/// How long after the end of a process its last words may be read.
const LAST_WORDS: Duration = Duration::from_secs(1);

const fn ten_seconds() -> Period {
    Period::from_secs(10)
}

impl Check for Exit {
    const TYPE: &'static str = "exit";
    const SUMMARY: &'static str = "a process that cannot work ends, says why, and is never ready";
    type Params = Params;

    fn about(params: &Params) -> About {
        // Without a fault it is about how the process ends whenever it is started.
        About::Faults(params.fault.iter().cloned().collect())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let fault = params.fault.as_ref();
        let mut found: Vec<Lint> = fault
            .and_then(|name| lint::fault("fault", name, outlook))
            .into_iter()
            .collect();
        for (index, text) in params.text.iter().enumerate() {
            let key = format!("text[{index}]");
            found.extend(lint::regex(&key, text));
            found.extend(lint::log(&key, &params.service, outlook));
        }
        let service = &params.service;
        let missing = [
            (&outlook.attached, "command", "the run does not start it"),
            (
                &outlook.unwatched,
                "ready",
                "nobody asks whether it is ready",
            ),
        ];
        let missing = missing.iter().find(|(lack, ..)| lack.contains(service));
        found.extend(missing.map(|(_, key, why)| {
            Lint::error(
                "service",
                format!("the check cannot pass: `{service}` has no `{key}`"),
                *why,
                format!("add `{key}` to the service"),
            )
        }));
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let lives: Vec<Life> = lives(history, &params.service)
            .into_iter()
            .filter(|life| counts(params, history, life))
            .collect();
        if lives.is_empty() {
            let service = &params.service;
            let why = match &params.fault {
                Some(fault) => format!("`{service}` was not started under `{fault}`"),
                None => format!("`{service}` was not started"),
            };
            let help = "let the run start the service, with a `command`, while its way is barred";
            return Finding::inconclusive(spec, why, help);
        }
        let case = Case {
            params,
            spec,
            history,
        };
        let parts = lives.iter().map(|life| case.judge(life)).collect();
        let mut finding = Finding::worst_of(parts).expect("there is a life at least");
        finding.help = match finding.verdict {
            Verdict::Pass => None,
            Verdict::Fail => Some(
                "check at the start whatever the service cannot do without; on failure log what is \
                 wrong and what to do about it, and exit with a code of its own"
                    .to_owned(),
            ),
            Verdict::Inconclusive => {
                let help = "let the run go on for `within` after the start, and give the service a \
                            `ready` path at which it can be asked";
                Some(help.to_owned())
            }
        };
        finding
    }
}

/// One process of a service.
#[derive(Debug)]
struct Life {
    started: Moment,
    /// Whether it was asked if it was ready.
    watched: bool,
    ready: Option<Moment>,
    /// When and how it ended before anybody asked it to.
    ended: Option<(Moment, String)>,
}

fn lives(history: &History, service: &str) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for event in history.events() {
        let Fact::Service {
            service: of,
            change,
        } = &event.fact
        else {
            continue;
        };
        if &**of != service {
            continue;
        }
        match (change, lives.last_mut()) {
            (ServiceChange::Started(_), _) => lives.push(Life {
                started: event.at,
                watched: false,
                ready: None,
                ended: None,
            }),
            (ServiceChange::Watched, Some(life)) => life.watched = true,
            (ServiceChange::Ready, Some(life)) => {
                life.ready.get_or_insert(event.at);
            }
            // What ends in the tear-down was told to.
            (ServiceChange::Exited(how), Some(life)) if event.at <= history.end() => {
                life.ended.get_or_insert((event.at, how.clone()));
            }
            _ => {}
        }
    }
    lives
}

fn counts(params: &Params, history: &History, life: &Life) -> bool {
    let Some(fault) = &params.fault else {
        return true;
    };
    let in_force = |one| (one, history.lifted(one));
    history
        .fault(fault)
        .iter()
        .map(in_force)
        .any(|(one, lift)| one.inject <= life.started && life.started < lift)
}

struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
}

impl Case<'_> {
    fn judge(&self, life: &Life) -> Finding {
        let mut finding = Finding::new(self.spec, Verdict::Pass, "");
        let until = life
            .ended
            .as_ref()
            .map_or(self.history.end(), |(at, _)| *at);
        let window = (life.started, until);
        let mut support = |verdict, key: &str, expected: String, measured: String| {
            let evidence = Evidence::new(verdict, self.spec, key, expected, measured);
            finding.evidence.push(evidence.over(window, 1));
        };
        let within = show::time(self.params.within.get());
        let (verdict, measured) = self.in_time(life);
        support(
            verdict,
            "within",
            format!("an end within {within}"),
            measured,
        );
        if let Some((_, how)) = &life.ended {
            let (verdict, expected) = self.code(how);
            support(verdict, "code", expected, format!("ended with {how}"));
        }
        for (index, text) in self.params.text.iter().enumerate() {
            let (verdict, measured) = self.says(text, life, until);
            support(
                verdict,
                &format!("text[{index}]"),
                format!("a line like `{text}`"),
                measured,
            );
        }
        let (verdict, measured) = match life.ready {
            None if life.watched => (Verdict::Pass, "never ready".to_owned()),
            None => {
                let measured = "nobody asked whether it was ready".to_owned();
                (Verdict::Inconclusive, measured)
            }
            Some(at) => {
                let after = show::time(at.since(life.started));
                (Verdict::Fail, format!("ready after {after}"))
            }
        };
        support(verdict, "service", "never ready".to_owned(), measured);
        finding.decide();
        if let Some((at, _)) = &life.ended {
            finding.figure("exit_s", at.since(life.started).as_secs_f64());
        }
        finding
    }

    fn in_time(&self, life: &Life) -> (Verdict, String) {
        let bound = self.params.within.get();
        if let Some((at, _)) = &life.ended {
            let after = at.since(life.started);
            let verdict = if after <= bound {
                Verdict::Pass
            } else {
                Verdict::Fail
            };
            return (verdict, format!("ended after {}", show::time(after)));
        }
        let watched = self.history.end().since(life.started);
        let verdict = if watched >= bound {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        };
        (
            verdict,
            format!("still running after {}", show::time(watched)),
        )
    }

    fn code(&self, how: &str) -> (Verdict, String) {
        let code = how
            .strip_prefix("exit code ")
            .and_then(|code| code.parse::<i32>().ok());
        let (holds, expected) = match self.params.code {
            Some(wanted) => (code == Some(wanted), format!("exit code {wanted}")),
            None => (
                code.is_some_and(|code| code != 0),
                "an exit code but 0".to_owned(),
            ),
        };
        (if holds { Verdict::Pass } else { Verdict::Fail }, expected)
    }

    fn says(&self, text: &str, life: &Life, until: Moment) -> (Verdict, String) {
        let pattern = match Regex::new(text) {
            Ok(pattern) => pattern,
            Err(error) => return (Verdict::Inconclusive, error.to_string()),
        };
        // The last words are read after the process has ended, by another task.
        let until = until + LAST_WORDS;
        let lines = self.history.logs(&self.params.service).iter();
        let own: Vec<&str> = lines
            .filter(|line| line.at >= life.started && line.at <= until)
            .map(|line| line.text.as_str())
            .collect();
        if let Some(said) = own.iter().find(|line| pattern.is_match(line)) {
            return (Verdict::Pass, format!("said `{said}`"));
        }
        let lines = show::plural(own.len() as u64, "line");
        let measured = format!("none of {lines} says `{text}`");
        let window = (life.started, until);
        match self.history.text_missing(&self.params.service, window) {
            None => (Verdict::Fail, measured),
            Some(why) => (Verdict::Inconclusive, format!("{measured}, but {why}")),
        }
    }
}

#[cfg(test)]
mod tests;
