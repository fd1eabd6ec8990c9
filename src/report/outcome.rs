use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CheckRecord, CheckVerdict, dials};
use crate::check::{Purpose, Severity};
use crate::event::{Event, Fact, Gate, Phase};
use crate::units::Moment;

/// What a run came to. Ordered by precedence: of several, the greatest counts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was recorded and not judged. Exit code 0.
    Recorded,
    /// Every check passed. Exit code 0.
    Passed,
    /// The evidence did not suffice for a check. Exit code 4.
    Inconclusive,
    /// The experiment never began: it could not be set up, or the steady state was not met. At most
    /// what is in force before the start was injected. Exit code 3.
    NotBegun,
    /// A check failed: a weakness was found. Exit code 1.
    Failed,
    /// An abort condition held; everything was healed. Exit code 5.
    Aborted,
    /// A signal asked the run to end; everything was healed. Exit code 129, 130 or 143.
    Interrupted,
    /// chaosproxy itself could not go on. Exit code 70.
    Error,
}

impl Outcome {
    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Passed => "passed",
            Self::Inconclusive => "inconclusive",
            Self::Failed => "failed",
            Self::NotBegun => "not begun",
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

/// Why the run ended early: the gravest cause, and of equals the first. `None` if it did not, and
/// its journal is not `truncated`.
pub(super) fn early_end(events: &[Event], truncated: bool) -> Option<Early> {
    let reached = |least: fn(Phase) -> bool| {
        let reached = |fact: &Fact| matches!(fact, Fact::Phase { phase } if least(*phase));
        events.iter().any(|event| reached(&event.fact))
    };
    let began = reached(|phase| phase == Phase::Experiment);
    let recorded = events.iter().rev();
    let recorded = recorded.filter_map(|event| cause(&event.fact, began));
    // `max_by_key` keeps the last of equals, and the events are read backwards.
    recorded.max_by_key(|early| early.outcome).or_else(|| {
        if began && !truncated && reached(|phase| phase >= Phase::Settle) {
            None
        } else if let Some(window) = gate_refused(events).filter(|_| !began) {
            let mut reason =
                vec!["the steady state was not met; the schedule never began".to_owned()];
            reason.extend(dials::failed(events, window));
            Some(Early::new(Outcome::NotBegun, 3, reason.join("; ")))
        } else {
            let reason = "the journal ends in the middle of the run".to_owned();
            Some(Early::new(Outcome::Error, 70, reason))
        }
    })
}

fn cause(fact: &Fact, began: bool) -> Option<Early> {
    match fact {
        Fact::Failed { message } if !began => Some(Early::new(
            Outcome::NotBegun,
            3,
            format!("the schedule never began: {message}"),
        )),
        Fact::Failed { message } => Some(Early::new(Outcome::Error, 70, message.clone())),
        Fact::Interrupted { signal } => Some(Early::new(
            Outcome::Interrupted,
            match signal.as_str() {
                "SIGHUP" => 129,
                "SIGTERM" => 143,
                _ => 130,
            },
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

/// The window over which the gate was judged, if its last word was no.
fn gate_refused(events: &[Event]) -> Option<(Moment, Moment)> {
    let mut judged = events.iter().rev().filter_map(|event| match event.fact {
        Fact::SteadyState {
            gate: Gate::Before,
            from,
            met,
            ..
        } => Some((met, (from, event.at))),
        _ => None,
    });
    let (met, window) = judged.next()?;
    (!met).then_some(window)
}

/// The outcome and the exit code of a run for this purpose with these checks. One that `lacks_facts`
/// has not passed, whatever its checks are.
pub(super) fn outcome(
    early: Option<&Early>,
    purpose: Purpose,
    checks: &[CheckRecord],
    lacks_facts: bool,
) -> (Outcome, u8) {
    if let Some(early) = early {
        return (early.outcome, early.exit_code);
    }
    if purpose == Purpose::Record {
        return (Outcome::Recorded, 0);
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
    let least = if lacks_facts {
        Outcome::Inconclusive
    } else {
        Outcome::Passed
    };
    match worst.unwrap_or(least).max(least) {
        Outcome::Failed => (Outcome::Failed, 1),
        Outcome::Inconclusive => (Outcome::Inconclusive, 4),
        _ => (Outcome::Passed, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(facts: Vec<Fact>) -> Vec<Event> {
        let at = Moment::ZERO;
        facts.into_iter().map(|fact| Event { at, fact }).collect()
    }

    fn phase(phase: Phase) -> Fact {
        Fact::Phase { phase }
    }

    fn gate(met: bool) -> Fact {
        Fact::SteadyState {
            gate: Gate::Before,
            from: Moment::ZERO,
            met,
            conditions: Vec::new(),
        }
    }

    fn check(verdict: CheckVerdict, severity: Severity) -> CheckRecord {
        CheckRecord {
            name: "c".into(),
            kind: "detection".into(),
            severity,
            verdict,
            place: None,
            summary: String::new(),
            evidence: Vec::new(),
            figures: std::collections::BTreeMap::new(),
            notes: Vec::new(),
            help: None,
            lengths: Vec::new(),
        }
    }

    fn interrupted(signal: &str) -> Fact {
        let signal = signal.to_owned();
        Fact::Interrupted { signal }
    }

    fn abort() -> Fact {
        Fact::Abort {
            when: "w".into(),
            measured: "m".into(),
        }
    }

    fn failed() -> Fact {
        Fact::Failed {
            message: "no disk".into(),
        }
    }

    /// The exit code of a run with these facts and one failed and one inconclusive check.
    fn code(facts: Vec<Fact>) -> u8 {
        let checks = [
            check(CheckVerdict::Inconclusive, Severity::Error),
            check(CheckVerdict::Fail, Severity::Error),
        ];
        let early = early_end(&events(facts), false);
        outcome(early.as_ref(), Purpose::Judge, &checks, false).1
    }

    #[test]
    fn the_gravest_cause_decides_in_whatever_order_it_was_recorded() {
        let settle = || phase(Phase::Settle);
        let began = || phase(Phase::Experiment);
        assert_eq!(
            code(vec![began(), abort(), interrupted("SIGINT"), failed()]),
            70
        );
        assert_eq!(
            code(vec![began(), failed(), interrupted("SIGINT"), abort()]),
            70
        );
        assert_eq!(code(vec![abort(), interrupted("SIGINT"), settle()]), 130);
        assert_eq!(code(vec![interrupted("SIGTERM"), abort()]), 143);
        assert_eq!(code(vec![interrupted("SIGHUP"), abort()]), 129);
        assert_eq!(code(vec![gate(false), interrupted("SIGINT")]), 130);
        assert_eq!(code(vec![abort(), settle()]), 5);
        assert_eq!(code(vec![phase(Phase::Experiment), settle()]), 1);
    }

    #[test]
    fn a_set_up_that_failed_is_told_from_an_experiment_that_failed() {
        assert_eq!(code(vec![phase(Phase::SetUp), failed()]), 3);
        assert_eq!(code(vec![phase(Phase::Experiment), failed()]), 70);
    }

    #[test]
    fn of_two_signals_the_first_counts() {
        let facts = vec![interrupted("SIGTERM"), interrupted("SIGINT")];
        assert_eq!(code(facts), 143);
    }

    #[test]
    fn a_refused_gate_is_told_unless_a_later_try_was_granted() {
        assert_eq!(code(vec![gate(false), phase(Phase::TearDown)]), 3);
        let began = vec![
            gate(false),
            gate(true),
            phase(Phase::Experiment),
            phase(Phase::Settle),
        ];
        assert_eq!(code(began), 1);
    }

    #[test]
    fn a_journal_that_stops_in_the_middle_is_an_error() {
        assert_eq!(code(vec![phase(Phase::SetUp), phase(Phase::TearDown)]), 70);
        let early = early_end(&events(vec![phase(Phase::Experiment)]), false).unwrap();
        assert_eq!((early.outcome, early.exit_code), (Outcome::Error, 70));
    }

    #[test]
    fn checks_decide_a_complete_run_and_warnings_do_not() {
        use CheckVerdict::{Fail, Inconclusive, Pass};
        let of = |checks: &[(CheckVerdict, Severity)]| {
            let checks: Vec<_> = checks.iter().map(|(v, s)| check(*v, *s)).collect();
            outcome(None, Purpose::Judge, &checks, false)
        };
        let (error, warning) = (Severity::Error, Severity::Warning);
        assert_eq!(of(&[]), (Outcome::Passed, 0));
        assert_eq!(of(&[(Pass, error)]), (Outcome::Passed, 0));
        assert_eq!(of(&[(Fail, warning), (Pass, error)]), (Outcome::Passed, 0));
        assert_eq!(of(&[(Inconclusive, warning)]), (Outcome::Passed, 0));
        assert_eq!(of(&[(Inconclusive, error)]), (Outcome::Inconclusive, 4));
        let mixed = [(Fail, error), (Inconclusive, error), (Pass, error)];
        assert_eq!(of(&mixed), (Outcome::Failed, 1));
    }

    #[test]
    fn a_run_that_lacks_facts_has_not_passed_whatever_its_checks_are() {
        use CheckVerdict::{Fail, Pass};
        let (error, warning) = (Severity::Error, Severity::Warning);
        let of = |verdict, severity| {
            let checks = [check(verdict, severity)];
            outcome(None, Purpose::Judge, &checks, true).1
        };
        assert_eq!(outcome(None, Purpose::Judge, &[], true).1, 4);
        assert_eq!([of(Pass, warning), of(Fail, warning)], [4, 4]);
        assert_eq!(of(Fail, error), 1);
    }

    #[test]
    fn a_journal_without_its_end_is_an_error_whatever_it_held() {
        let whole = || events(vec![phase(Phase::Experiment), phase(Phase::TearDown)]);
        assert_eq!(early_end(&whole(), false), None);
        let cut = early_end(&whole(), true).unwrap();
        assert_eq!((cut.outcome, cut.exit_code), (Outcome::Error, 70));
        let facts = vec![phase(Phase::Experiment), interrupted("SIGTERM")];
        assert_eq!(early_end(&events(facts), true).unwrap().exit_code, 143);
    }
}
