use super::{CheckRecord, CheckVerdict, ConditionRecord, EvidenceRecord, SteadyStateRecord, dials};
use crate::check::{self, History, Severity, Verdict};
use crate::event::{Answers, Fact, Gate};
use crate::units::Moment;

/// The name under which the recheck of the steady state stands among the checks.
const RECHECK: &str = "steady-state-after";

/// The recheck of the steady state, told like a check: a system that does not come back fails,
/// unless it was the machine that had no time for it.
pub(super) fn recheck(history: &History, judged: &[SteadyStateRecord]) -> Option<CheckRecord> {
    let after = judged
        .iter()
        .rfind(|judged| judged.gate == Gate::After && !judged.conditions.is_empty())?;
    let window = window(history);
    let starved = window.and_then(|window| check::starved(history, window));
    let starved = starved.filter(|excuse| !is_missed_anyway(history, after, excuse, window));
    let short = window.and_then(|window| check::turned_away(history, window));
    let unreached = window.filter(|_| !after.met);
    let unreached = unreached.map(|window| dials::failed(history.events(), window));
    let missed = after.conditions.iter().filter(|one| !one.met).count();
    let all = after.conditions.len();
    let (verdict, summary, help) = match starved.as_ref().map(check::Excuse::why) {
        _ if short.is_some() => (
            Verdict::Inconclusive,
            short.unwrap_or_default(),
            Some(check::ROOM),
        ),
        _ if after.met => (
            Verdict::Pass,
            format!("{all} of {all} conditions hold again"),
            None,
        ),
        None => (
            Verdict::Fail,
            format!("{missed} of {all} conditions do not hold after the faults"),
            Some(
                "see why the servers do not return to their steady state once the faults are gone",
            ),
        ),
        Some(why) => (
            Verdict::Inconclusive,
            format!("{missed} of {all} conditions do not hold after the faults, but {why}"),
            Some(check::STARVED),
        ),
    };
    let evidence = |one: &ConditionRecord| EvidenceRecord {
        verdict: if one.met { Verdict::Pass } else { verdict },
        expected: one.condition.clone(),
        measured: one.measured.clone(),
        place: one.place,
        window_s: None,
        samples: 0,
        reasons: one.reasons.clone(),
    };
    let mut evidence: Vec<_> = after.conditions.iter().map(evidence).collect();
    evidence.sort_by_key(|one| std::cmp::Reverse(one.verdict));
    Some(CheckRecord {
        name: RECHECK.into(),
        kind: "steady_state".to_owned(),
        severity: Severity::Error,
        verdict: CheckVerdict::from(verdict),
        place: None,
        summary,
        evidence,
        figures: [("conditions_missed".to_owned(), missed as f64)].into(),
        notes: unreached.unwrap_or_default(),
        help: help.map(str::to_owned),
        lengths: Vec::new(),
    })
}

/// Whether a condition does not hold either without what a starved machine explains.
fn is_missed_anyway(
    history: &History,
    after: &SteadyStateRecord,
    excuse: &check::Excuse,
    window: Option<(Moment, Moment)>,
) -> bool {
    let Some(window) = window else { return false };
    let missed = after.conditions.iter().filter(|one| !one.met);
    let mut assertions = missed.filter_map(|one| one.condition.parse().ok());
    assertions.any(|assertion| {
        check::is_missed_anyway(excuse, (&assertion, Answers::Good), history, window)
    })
}

/// From when to when the observations of the recheck count.
fn window(history: &History) -> Option<(Moment, Moment)> {
    let mut judged = history.events().iter().rev();
    judged.find_map(|event| match &event.fact {
        Fact::SteadyState {
            gate: Gate::After,
            from,
            ..
        } => Some((*from, event.at)),
        _ => None,
    })
}
