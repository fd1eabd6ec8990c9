//! Whether a health endpoint goes on answering.

use serde::{Deserialize, Serialize};

use crate::check::assertion::Op;
use crate::check::bounds::{self, Doubt, Judged};
use crate::check::exercise::{self, Excuse};
use crate::check::metric::{Metric, Unit};
use crate::check::{
    About, Assertion, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Window,
    lint, show,
};
use crate::event::{Answers, Name};
use crate::units::Moment;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Health;

/// Parameters of a health check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The probe that asks.
    pub probe: Name,
    /// The time in which it must be answered.
    pub during: Window,
    /// What must hold of it in that time.
    pub that: Vec<Assertion>,
    /// The answers that latencies are taken of: `good` (the default), or `all`, errors as well.
    #[serde(default, skip_serializing_if = "Answers::is_good")]
    pub of: Answers,
}

impl Check for Health {
    const TYPE: &'static str = "health";
    const SUMMARY: &'static str = "a health endpoint goes on answering, quickly";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::source("probe", &params.probe, outlook));
        found.extend(lint::assertions(&params.that, params.of, outlook));
        for (index, assertion) in params.that.iter().enumerate() {
            let (key, source) = (format!("that[{index}]"), &assertion.source);
            let needed = needed(assertion);
            found.extend(lint::samples(key, source, &params.during, needed, outlook));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        exercise::over(&params.during, spec, history, |window| {
            observed(params, spec, history, window)
        })
    }
}

fn observed(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    window: (Moment, Moment),
) -> Finding {
    let mut finding = Finding::new(spec, Verdict::Pass, "");
    let (mut doubts, mut verdicts) = (Vec::new(), Vec::new());
    for (index, assertion) in params.that.iter().enumerate() {
        let (evidence, doubt) = demand(
            params,
            spec,
            history,
            window,
            (index, assertion),
            &mut finding,
        );
        verdicts.push(evidence.verdict);
        finding.evidence.push(evidence);
        doubts.extend(doubt);
    }
    finding.decide();
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => params
            .that
            .iter()
            .zip(&verdicts)
            .find_map(|(assertion, verdict)| {
                (*verdict == Verdict::Fail).then(|| advice(assertion).to_owned())
            }),
        Verdict::Inconclusive => doubts.first().map(|doubt| doubt.advice().to_owned()),
    };
    finding
}

fn demand(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    window: (Moment, Moment),
    (index, assertion): (usize, &Assertion),
    finding: &mut Finding,
) -> (Evidence, Option<Doubt>) {
    let (metric, source) = (assertion.metric, &*assertion.source);
    let measured = history.measure(assertion, params.of, window);
    let needed = needed(assertion);
    let slow = metric.unit() == Unit::Time;
    let judged = match measured.holds() {
        None if measured.value.is_some() && measured.weight(false) >= needed => {
            bounds::unanswered(&measured.to_string())
        }
        None => bounds::too_few(&measured, needed),
        Some(holds) if measured.weight(holds) < needed => bounds::too_few(&measured, needed),
        Some(true) => Judged::sure(Verdict::Pass, &measured),
        Some(false) => {
            let excuse = exercise::slowed(history, source, window);
            let anyway = |excuse: &Excuse| {
                exercise::is_missed_anyway(excuse, (assertion, params.of), history, window)
            };
            match excuse.filter(|excuse| slow && !anyway(excuse)) {
                Some(excuse) => Judged {
                    verdict: Verdict::Inconclusive,
                    measured: format!("{measured}, but {}", excuse.why()),
                    doubt: Some(Doubt::Machine),
                },
                None => Judged::sure(Verdict::Fail, &measured),
            }
        }
    };
    if let Some(value) = measured.value {
        finding.figure(show::figure_name(source, metric), value);
    }
    let key = format!("that[{index}]");
    let (expected, words) = (assertion.to_string(), judged.measured);
    let evidence = Evidence::new(judged.verdict, spec, &key, expected, words);
    let evidence = evidence.over(window, measured.tally.all);
    (evidence.of([&assertion.source]), judged.doubt)
}

/// What to do about a demand that does not hold.
fn advice(assertion: &Assertion) -> &'static str {
    let wants_errors = match assertion.metric {
        Metric::OkRatio => matches!(assertion.op, Op::AtMost | Op::Below),
        Metric::ErrorRate => matches!(assertion.op, Op::AtLeast | Op::Above),
        _ => false,
    };
    match assertion.metric {
        _ if wants_errors => {
            "let the endpoint say that the service cannot do its work while its database is gone"
        }
        Metric::ErrorRate | Metric::OkRatio => {
            "see why it answered so: the commonest reasons stand beside the demand"
        }
        _ => "answer from state kept in the background, never by waiting for the database",
    }
}

/// Observations without which a metric says nothing: for a percentile as many as leave one beyond
/// it.
const fn needed(assertion: &Assertion) -> u64 {
    match assertion.metric {
        Metric::P99 => 100,
        Metric::Count | Metric::Rate => 0,
        _ => 20,
    }
}

#[cfg(test)]
mod tests;
