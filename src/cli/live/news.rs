//! The facts that a person should know at once, in words.

use std::collections::BTreeMap;

use super::draw::Tone;
use crate::event::{Condition, Edge, Event, Fact, Gate, Name, Phase, ServiceChange};

/// What there is to say of a fact, in `phase`; `kinds` says of each fault what it does.
pub(super) fn describe(
    event: &Event,
    phase: Option<Phase>,
    kinds: &BTreeMap<Name, String>,
) -> Option<(Tone, String)> {
    Some(match &event.fact {
        Fact::Phase { phase } => (Tone::Heading, phase_words(*phase).to_owned()),
        Fact::SteadyState {
            gate,
            met,
            conditions,
            ..
        } => steady_state_words(*gate, *met, conditions),
        Fact::FaultEdge {
            fault,
            edge,
            planned,
            by,
            ..
        } => {
            let when = match planned {
                Some(planned) => format!("{:+.1} ms", event.at.seconds_from(*planned) * 1e3),
                None => by.words().to_owned(),
            };
            edge_words(fault, *edge, &when, kinds)
        }
        Fact::PathOpen { proxy, fault } => (
            Tone::Plain,
            format!("{proxy}: path open again after {fault}"),
        ),
        Fact::Service { service, change } => match change {
            ServiceChange::Started(_) | ServiceChange::Watched => return None,
            ServiceChange::Ready => (Tone::Plain, format!("{service}: ready")),
            ServiceChange::Exited(how) => {
                let tone = if phase == Some(Phase::TearDown) {
                    Tone::Plain
                } else {
                    Tone::Bad
                };
                (tone, format!("{service}: ended, {how}"))
            }
        },
        Fact::Database { database, change } => (Tone::Plain, format!("{database}: {change}")),
        Fact::Abort { when, measured } => {
            let text = format!("abort condition `{when}` holds ({measured}): healing");
            (Tone::Bad, text)
        }
        Fact::Interrupted { signal } => (Tone::Bad, format!("{signal}: healing")),
        Fact::LogGap(gap) => (Tone::Warning, format!("warning: {gap}")),
        Fact::Shortfall { what, .. } => (Tone::Warning, format!("warning: {what}")),
        Fact::Trouble { message } => (Tone::Warning, format!("warning: {message}")),
        Fact::FaultFailed { fault, why } => {
            (Tone::Warning, format!("warning: fault `{fault}`: {why}"))
        }
        Fact::Failed { message } => (Tone::Bad, format!("error: {message}")),
        Fact::Lost { count } => (Tone::Warning, format!("warning: {count} facts lost so far")),
        _ => return None,
    })
}

fn edge_words(
    fault: &Name,
    edge: Edge,
    when: &str,
    kinds: &BTreeMap<Name, String>,
) -> (Tone, String) {
    let what = kinds.get(fault).map_or("", String::as_str);
    match edge {
        Edge::Inject => {
            let text = format!("fault {fault} begins: {what} ({when})");
            (Tone::Warning, text)
        }
        Edge::Lift => (Tone::Good, format!("fault {fault} ends ({when})")),
    }
}

/// A phase, for people.
pub(super) const fn phase_words(phase: Phase) -> &'static str {
    match phase {
        Phase::SetUp => "setting up",
        Phase::SteadyState => "confirming the steady state",
        Phase::Experiment => "time zero: the schedule begins",
        Phase::Recheck => "healed; watching the steady state for as long as its window",
        Phase::Settle => "healed; settling",
        Phase::TearDown => "tearing down",
    }
}

fn steady_state_words(gate: Gate, met: bool, conditions: &[Condition]) -> (Tone, String) {
    let when = match gate {
        Gate::Before => "before the faults",
        Gate::After => "after the faults",
    };
    if met {
        return (Tone::Good, format!("steady state met {when}"));
    }
    let missed = conditions.iter().filter(|one| !one.met);
    let missed: Vec<_> = missed
        .map(|one| {
            let reasons = one.reasons.iter().map(|reason| format!("; {reason}"));
            let reasons: String = reasons.collect();
            format!("{} (measured {}{reasons})", one.condition, one.measured)
        })
        .collect();
    (
        Tone::Bad,
        format!("steady state not met {when}: {}", missed.join("; ")),
    )
}
