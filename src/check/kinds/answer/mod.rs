//! Whether a service goes on giving the answers that it gave before.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Window, exercise,
    lint, show,
};
use crate::event::Name;
use crate::units::Moment;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Answer;

/// Parameters of an answer check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The workload whose answers are compared; it needs the key `compare`.
    pub source: Name,
    /// The time in which answers must be those of the baseline. Default `all`.
    #[serde(default = "Window::all")]
    pub during: Window,
    /// Answers that are needed, in the baseline and in that time. Default 20.
    #[serde(default = "twenty")]
    pub min_samples: u64,
}

const fn twenty() -> u64 {
    20
}

impl Check for Answer {
    const TYPE: &'static str = "answer";
    const SUMMARY: &'static str = "answers stay what they were in the baseline";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        let (source, during) = (&params.source, &params.during);
        found.extend(lint::source("source", source, outlook));
        if outlook.undigested.contains(source) {
            found.push(Lint::error(
                "source",
                format!("the check cannot pass: nothing is kept of the answers of `{source}`"),
                "without `compare`",
                "name a workload, and set its `compare` to \"body\" or to an array of JSON paths",
            ));
        }
        let needed = params.min_samples;
        found.extend(lint::samples("source", source, during, needed, outlook));
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        exercise::over(&params.during, spec, history, |window| {
            compare(params, spec, history, window)
        })
    }
}

fn compare(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    window: (Moment, Moment),
) -> Finding {
    let (before, unread_before) = digests(history, &params.source, history.baseline());
    let (during, unread) = digests(history, &params.source, window);
    let unread = unread.or(unread_before);
    let known: BTreeSet<&str> = before.iter().map(|answer| answer.digest).collect();
    let undecided = |why, help: &str| Finding::inconclusive(spec, why, help);
    let needed = params.min_samples.max(1);
    for (answers, when) in [(&before, "in the baseline"), (&during, "in the window")] {
        let count = answers.len() as u64;
        if count < needed {
            let answers = show::plural(count, "answer");
            let why = format!("{answers} to compare {when}, {needed} needed");
            return match unread {
                None => undecided(why, "set `compare` of the workload, or raise its rate"),
                Some(unread) => undecided(format!("{why}: {unread}"), SHORTER),
            };
        }
    }
    if known.len() > 1 {
        let why = format!("{} different answers in the baseline alone", known.len());
        let help = "compare only what does not change by itself: name JSON paths in `compare`";
        return undecided(why, help);
    }
    let mut others = during
        .iter()
        .filter(|answer| !known.contains(answer.digest));
    let first = others.next();
    let different = others.count() as u64 + u64::from(first.is_some());
    let count = during.len() as u64;
    let (verdict, measured) = match first {
        None => {
            let same = format!("{} as in the baseline", show::plural(count, "answer"));
            match unread {
                None => (Verdict::Pass, same),
                Some(unread) => (Verdict::Inconclusive, format!("{same}, but {unread}")),
            }
        }
        Some(answer) => {
            let when = show::seconds(answer.asked.seconds_from(history.time_zero()));
            let answers = show::plural(count, "answer");
            (
                Verdict::Fail,
                format!("{different} of {answers} differ from the baseline, first at {when}"),
            )
        }
    };
    let mut finding = Finding::new(spec, verdict, &measured);
    let expected = "the answer of the baseline";
    let evidence = Evidence::new(verdict, spec, "source", expected, measured);
    finding.evidence.push(evidence.over(window, count));
    finding.figure("answers_different", different as f64);
    if verdict == Verdict::Inconclusive {
        finding.help = Some(SHORTER.to_owned());
    }
    if verdict == Verdict::Fail {
        finding.help = Some(
            "an answer from the wrong place is worse than none: look for silent fallbacks to \
             another database, stale caches and defaults where an error belongs"
                .to_owned(),
        );
    }
    finding
}

/// What was answered, and when it was asked.
struct Answered<'a> {
    asked: Moment,
    digest: &'a str,
}

/// The advice for answers of which a part was not compared.
const SHORTER: &str = "compare a request with shorter answers, or the whole \"body\" of this one";

/// The answers that belong to the window, and why not all of them can be compared, if so. An
/// error is no answer; other checks count it.
fn digests<'a>(
    history: &'a History,
    source: &str,
    window: (Moment, Moment),
) -> (Vec<Answered<'a>>, Option<&'a str>) {
    let (mut answers, mut unread) = (Vec::new(), None);
    for sample in history.samples_in(source, window) {
        match &sample.digest {
            Some(Ok(digest)) => answers.push(Answered {
                asked: sample.intended,
                digest,
            }),
            Some(Err(why)) => unread = unread.or(Some(why.as_str())),
            None => {}
        }
    }
    (answers, unread)
}

#[cfg(test)]
mod tests;
