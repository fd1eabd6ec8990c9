//! What share of requests is answered, second by second, and how much longer an outage is for
//! clients than for the path.

mod slots;

use serde::{Deserialize, Serialize};

use crate::check::assertion::{Op, Value};
use crate::check::bounds::{self, Demands, Doubt};
use crate::check::exercise;
use crate::check::metric::Metric;
use crate::check::{
    About, Assertion, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Window,
    lint, show,
};
use crate::event::{Answers, Name};
use crate::units::{Moment, Period, Share};
use slots::Slots;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Availability;

/// Parameters of an availability check. At least one of `target`, `worst` and `amplification` is
/// needed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The workload or probe whose observations count.
    pub source: Name,
    /// The time that is looked at. Default `all`.
    #[serde(default = "Window::all")]
    pub during: Window,
    /// The share of all observations that must be ok, for example `99.9%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Share>,
    /// The share that must be ok even in the worst slot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Share>,
    /// The most that unavailable time may be, as a multiple of the time in which faults were in
    /// force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amplification: Option<f64>,
    /// The length of a slot. Default 1s.
    #[serde(default = "one_second")]
    pub slot: Period,
    /// The share that must be ok for a slot to be available. Default 99%.
    #[serde(default = "most")]
    pub good: Share,
}

const fn one_second() -> Period {
    Period::from_secs(1)
}

fn most() -> Share {
    Share::from_fraction(0.99).unwrap_or(Share::ALL)
}

impl Check for Availability {
    const TYPE: &'static str = "availability";
    const SUMMARY: &'static str = "requests are answered, and outages last no longer than faults";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Window(params.during.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::source("source", &params.source, outlook));
        if params.target.is_none() && params.worst.is_none() && params.amplification.is_none() {
            found.push(Lint::error(
                "source",
                "nothing is demanded",
                "of its answers",
                "add `target`, `worst` or `amplification`",
            ));
        }
        if let Some(share) = params.target {
            let needed = bounds::fewest(&demand(params, share), None);
            let (source, during) = (&params.source, &params.during);
            found.extend(lint::samples("target", source, during, needed, outlook));
        }
        if params.slot.get().is_zero() {
            found.push(Lint::error(
                "slot",
                "a slot without length holds nothing",
                "too short",
                "write for example `slot = \"1s\"`",
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        exercise::over(&params.during, spec, history, |window| {
            observed(params, spec, history, window)
        })
    }
}

/// That this share of all observations is ok.
fn demand(params: &Params, share: Share) -> Assertion {
    Assertion {
        source: params.source.clone(),
        metric: Metric::OkRatio,
        op: Op::AtLeast,
        value: Value::Share(share),
        lasting: None,
    }
}

fn observed(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    window: (Moment, Moment),
) -> Finding {
    let case = Case {
        params,
        spec,
        history,
        window,
        slots: Slots::cut(
            history.samples_in(&params.source, window),
            window,
            params.slot.get(),
            params.good.fraction(),
        ),
    };
    let mut finding = Finding::new(spec, Verdict::Pass, "");
    let demands = [
        params.target.map(|share| case.target(share)),
        params.worst.map(|share| case.worst(share)),
        params.amplification.map(|most| case.amplification(most)),
    ];
    let mut remedies = Vec::new();
    for (evidence, remedy) in demands.into_iter().flatten() {
        finding.evidence.push(evidence);
        remedies.extend(remedy);
    }
    finding.decide();
    case.figures(&mut finding);
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(ADVICE.to_owned()),
        Verdict::Inconclusive => remedies.first().map(|&remedy| remedy.to_owned()),
    };
    finding
}

/// Evidence, and what to do if it decides nothing.
type Judged = (Evidence, Option<&'static str>);

struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    window: (Moment, Moment),
    slots: Slots,
}

impl Case<'_> {
    fn evidence(
        &self,
        verdict: Verdict,
        key: &str,
        expected: String,
        measured: String,
    ) -> Evidence {
        Evidence::new(verdict, self.spec, key, expected, measured)
            .over(self.window, self.slots.samples)
            .of([&self.params.source])
    }

    /// The share of all observations, by its confidence bounds.
    fn target(&self, share: Share) -> Judged {
        let demand = demand(self.params, share);
        let demands = Demands {
            history: self.history,
            window: self.window,
            that: std::slice::from_ref(&demand),
            of: Answers::Good,
            floor: std::time::Duration::ZERO,
            min_samples: None,
        };
        let judged = demands.demand(&demand);
        let expected = demand.to_string();
        let evidence = self.evidence(judged.verdict, "target", expected, judged.measured);
        (evidence, judged.doubt.map(Doubt::advice))
    }

    fn worst(&self, share: Share) -> Judged {
        let expected = format!("{share} ok in every slot of {}", self.params.slot);
        let Some((at, worst)) = self.slots.worst else {
            let measured = "no slot with an observation".to_owned();
            let evidence = self.evidence(Verdict::Inconclusive, "worst", expected, measured);
            return (evidence, Some(Doubt::Few.advice()));
        };
        let verdict = if worst >= share.fraction() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let from = at.seconds_from(self.history.time_zero());
        let measured = format!(
            "{} ok in the worst slot, at {}",
            show::percent(worst),
            show::seconds(from)
        );
        (self.evidence(verdict, "worst", expected, measured), None)
    }

    /// Unavailable time over fault time. A slot is bad as a whole even if the outage began or
    /// ended within it, so each outage may be up to two slots shorter than it looks.
    fn amplification(&self, most: f64) -> Judged {
        let expected = format!("unavailable at most {most} times as long as faults were in force");
        let faults = self.fault_seconds();
        if faults == 0.0 {
            let measured = "no fault was in force for any time".to_owned();
            let verdict = Verdict::Inconclusive;
            let evidence = self.evidence(verdict, "amplification", expected, measured);
            return (
                evidence,
                Some("choose a window in which a fault is in force"),
            );
        }
        let longest = self.slots.bad_time.as_secs_f64();
        let partly = 2.0 * self.slots.outages as f64 * self.params.slot.as_secs_f64();
        let unseen = self.slots.unseen_time.as_secs_f64();
        let surely = longest - partly - self.slots.rest.as_secs_f64();
        let verdict = if self.slots.samples == 0 {
            Verdict::Inconclusive
        } else if longest / faults <= most {
            let names = self.in_force().map(|(name, _)| name);
            if let Some(why) = exercise::any_missing(self.history, names) {
                let verdict = Verdict::Inconclusive;
                let evidence = self.evidence(verdict, "amplification", expected, why);
                let remedy = "let every fault of the window touch somebody";
                return (evidence, Some(remedy));
            }
            // Nobody knows how long an outage goes on where nothing was asked.
            if (longest + unseen) / faults <= most {
                Verdict::Pass
            } else {
                Verdict::Inconclusive
            }
        } else if surely / faults > most {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        };
        let mut measured = format!(
            "unavailable for {} of {} of faults, {:.2} times as long",
            show::seconds(longest),
            show::seconds(faults),
            longest / faults
        );
        let sparse = verdict == Verdict::Inconclusive && unseen > 0.0;
        if sparse {
            let unseen = show::seconds(unseen);
            measured = format!("{measured}, but nothing was asked for {unseen} beside it");
        }
        let remedy = match verdict {
            Verdict::Inconclusive if self.slots.samples == 0 => Some(Doubt::Few.advice()),
            _ if sparse => Some("raise the rate, or lengthen `slot`, so that no slot is empty"),
            Verdict::Inconclusive => Some("let faults be in force for longer, or shorten `slot`"),
            Verdict::Pass | Verdict::Fail => None,
        };
        let evidence = self.evidence(verdict, "amplification", expected, measured);
        (evidence, remedy)
    }

    /// The faults that were in force within the window, and from when to when they were.
    fn in_force(&self) -> impl Iterator<Item = (&Name, (Moment, Moment))> {
        let (from, to) = self.window;
        self.history
            .occurrences()
            .map(move |(name, one)| {
                let span = (one.inject.max(from), self.history.lifted(one).min(to));
                (name, span)
            })
            .filter(|(_, (from, to))| from < to)
    }

    /// How long at least one fault was in force within the window.
    fn fault_seconds(&self) -> f64 {
        let mut spans: Vec<(Moment, Moment)> = self.in_force().map(|(_, span)| span).collect();
        spans.sort_unstable();
        let mut covered = self.window.0;
        let mut seconds = 0.0;
        for (from, to) in spans {
            seconds += to.since(from.max(covered)).as_secs_f64();
            covered = covered.max(to);
        }
        seconds
    }

    fn figures(&self, finding: &mut Finding) {
        let slots = &self.slots;
        finding.figure("bad_slots", slots.bad as f64);
        finding.figure("slots", slots.judged as f64);
        if let Some((_, worst)) = slots.worst {
            finding.figure("worst_ok_ratio", worst);
        }
        let faults = self.fault_seconds();
        if faults > 0.0 {
            let unavailable = slots.bad_time.as_secs_f64();
            finding.figure("amplification", unavailable / faults);
        }
        if slots.empty > 0 {
            let empty = show::plural(slots.empty, "slot");
            finding.note(format!("{empty} without an observation, left out"));
        }
    }
}

/// For requests that were not available enough.
const ADVICE: &str = "look at how long clients fail after the fault is gone: a long backoff, a \
     pool that refills slowly or a queue that drains late makes an outage longer than its cause";

#[cfg(test)]
mod tests;
