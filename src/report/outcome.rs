use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CheckRecord, CheckVerdict};
use crate::check::Severity;
use crate::event::{Event, Fact, Gate, Phase};

/// What a run came to. Ordered by precedence: of several, the greatest counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Every check passed. Exit code 0.
    Passed,
    /// The evidence did not suffice for a check. Exit code 4.
    Inconclusive,
    /// A check failed: a weakness was found. Exit code 1.
    Failed,
    /// The steady state was not met and nothing was injected. Exit code 3.
    SteadyStateNotMet,
    /// An abort condition held; everything was healed. Exit code 5.
    Aborted,
    /// A signal asked the run to end; everything was healed. Exit code 130 or 143.
    Interrupted,
    /// chaosproxy itself could not go on. Exit code 70.
    Error,
}

impl Outcome {
    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
            Self::SteadyStateNotMet => "steady state not met",
            Self::Aborted => "aborted",
            Self::Interrupted => "interrupted",
            Self::Error => "error",
        }
    }
}

/// Why a run ended before its schedule did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Early {
    pub(super) outcome: Outcome,
    pub(super) exit_code: u8,
    /// For people, one line.
    pub(super) reason: String,
}

impl Early {
    const fn new(outcome: Outcome, exit_code: u8, reason: String) -> Self {
        Self {
            outcome,
            exit_code,
            reason,
        }
    }
}

/// Why the run ended early: the gravest cause, and of equals the first. `None` if it did not.
pub(super) fn early_end(events: &[Event]) -> Option<Early> {
    let recorded = events.iter().rev().filter_map(|event| cause(&event.fact));
    // `max_by_key` keeps the last of equals, and the events are read backwards.
    recorded.max_by_key(|early| early.outcome).or_else(|| {
        let reached = |at_least| {
            let reached = |fact: &Fact| matches!(fact, Fact::Phase { phase } if *phase >= at_least);
            events.iter().any(|event| reached(&event.fact))
        };
        if !reached(Phase::Experiment) && gate_refused(events) {
            let reason = "the steady state was not met; nothing was injected".to_owned();
            Some(Early::new(Outcome::SteadyStateNotMet, 3, reason))
        } else if !reached(Phase::Settle) {
            let reason = "the journal ends in the middle of the run".to_owned();
            Some(Early::new(Outcome::Error, 70, reason))
        } else {
            None
        }
    })
}

fn cause(fact: &Fact) -> Option<Early> {
    match fact {
        Fact::Failed { message } => Some(Early::new(Outcome::Error, 70, message.clone())),
        Fact::Interrupted { signal } => Some(Early::new(
            Outcome::Interrupted,
            if signal == "SIGTERM" { 143 } else { 130 },
            format!("interrupted by {signal}"),
        )),
        Fact::Abort { when, measured } => Some(Early::new(
            Outcome::Aborted,
            5,
            format!("abort condition `{when}` held: {measured}"),
        )),
        _ => None,
    }
}

/// Whether the last word at the gate was no.
fn gate_refused(events: &[Event]) -> bool {
    let last = events.iter().rev().find_map(|event| match event.fact {
        Fact::SteadyState {
            gate: Gate::Before,
            met,
            ..
        } => Some(met),
        _ => None,
    });
    last == Some(false)
}

/// The outcome and the exit code of a run with these checks.
pub(super) fn outcome(early: Option<&Early>, checks: &[CheckRecord]) -> (Outcome, u8) {
    if let Some(early) = early {
        return (early.outcome, early.exit_code);
    }
    let worst = checks
        .iter()
        .filter(|check| check.severity == Severity::Error)
        .map(|check| match check.verdict {
            CheckVerdict::Pass => Outcome::Passed,
            CheckVerdict::Inconclusive | CheckVerdict::Aborted => Outcome::Inconclusive,
            CheckVerdict::Fail => Outcome::Failed,
        })
        .max();
    match worst.unwrap_or(Outcome::Passed) {
        Outcome::Failed => (Outcome::Failed, 1),
        Outcome::Inconclusive => (Outcome::Inconclusive, 4),
        _ => (Outcome::Passed, 0),
    }
}
