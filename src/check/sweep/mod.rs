//! Faults that are in force for one length after the other: a verdict for each length, and the
//! table that shows where a server's limits lie.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::kinds::backoff;
use super::{CheckSpec, FaultBrief, Finding, History, LengthFinding, Verdict, Window};
use crate::event::Name;
use crate::units::Period;

/// A swept fault and what came of each length.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The fault.
    pub fault: Name,
    /// Its lengths, in their order.
    pub lengths: Vec<SweptLength>,
}

/// One length of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweptLength {
    /// For how long the fault was to be in force.
    pub length: Period,
    /// The worst verdict of the checks that look at it; `None` if no check does.
    pub verdict: Option<Verdict>,
    /// The checks that look at it, with their verdicts.
    pub checks: Vec<(Name, Verdict)>,
    /// How long it took until the fault was detected, in seconds; the slowest of several checks.
    pub detection_s: Option<f64>,
    /// How long it took until all was back to normal, in seconds; the slowest of several checks.
    pub recovery_s: Option<f64>,
    /// How long the client may wait at worst after such an outage before it tries again, in
    /// seconds, as its backoff predicts.
    pub worst_case_s: Option<f64>,
}

/// Judges a check by `judge`; one that looks at a swept fault, for each length as if there had been
/// no other, and apart from that for the other faults that it names.
pub(super) fn judge(
    spec: &CheckSpec,
    history: &History,
    judge: impl Fn(&CheckSpec, &History) -> Finding,
) -> Finding {
    let named = named(&spec.params);
    let (swept, others): (Vec<&Name>, Vec<&Name>) = named
        .iter()
        .partition(|name| brief(history, name).is_some());
    let mut parts = Vec::new();
    for fault in swept.into_iter().filter_map(|name| brief(history, name)) {
        let own = about(spec, &[&fault.name]);
        for (occurrence, length) in (0..).zip(&fault.sweep) {
            let finding = judge(&own, &history.narrowed(&fault.name, occurrence));
            parts.push((fault, occurrence, *length, finding));
        }
    }
    if parts.is_empty() {
        return judge(spec, history);
    }
    let mut findings = vec![together(spec, &parts)];
    if !others.is_empty() {
        findings.push(judge(&about(spec, &others), history));
    }
    Finding::worst_of(findings).expect("there is a length at least")
}

/// A swept fault by its name.
fn brief<'a>(history: &'a History, name: &str) -> Option<&'a FaultBrief> {
    let mut faults = history.experiment().faults.iter();
    faults.find(|fault| &*fault.name == name && !fault.sweep.is_empty())
}

/// The check, as if of the faults that it names it named only these.
fn about(spec: &CheckSpec, faults: &[&Name]) -> CheckSpec {
    let mut spec = spec.clone();
    if spec.params["fault"].is_array() {
        spec.params["fault"] = json!(faults);
    }
    spec
}

/// What each swept fault came to; `findings` are those of [`super::judge()`].
pub fn sweeps(history: &History, findings: &[Finding]) -> Vec<Sweep> {
    let swept = history.experiment().faults.iter();
    let swept = swept.filter(|fault| !fault.sweep.is_empty());
    swept
        .map(|fault| Sweep {
            fault: fault.name.clone(),
            lengths: (0..)
                .zip(&fault.sweep)
                .map(|(occurrence, length)| row(fault, occurrence, *length, history, findings))
                .collect(),
        })
        .collect()
}

fn row(
    fault: &FaultBrief,
    occurrence: u32,
    length: Period,
    history: &History,
    findings: &[Finding],
) -> SweptLength {
    let of_length = || {
        findings.iter().flat_map(|finding| {
            let lengths = finding.lengths.iter();
            let own = lengths.filter(|one| one.fault == fault.name && one.occurrence == occurrence);
            own.map(move |one| (finding, one))
        })
    };
    let slowest = |kind: &str, figure: &str| {
        let these = of_length().filter(|(finding, _)| finding.kind == kind);
        let figures = these.filter_map(|(_, one)| one.figures.get(figure).copied());
        figures.max_by(f64::total_cmp)
    };
    let occurrences = history.fault(&fault.name).iter();
    let outage = occurrences.into_iter().find(|one| one.index == occurrence);
    SweptLength {
        length,
        verdict: of_length().map(|(_, one)| one.verdict).max(),
        checks: of_length()
            .map(|(finding, one)| (finding.check.clone(), one.verdict))
            .collect(),
        detection_s: slowest("detection", "detection_s"),
        recovery_s: slowest("recovery", &format!("{}.recovery_s", fault.name)),
        worst_case_s: outage.and_then(|outage| backoff::longest_wait(history, fault, outage)),
    }
}

/// The faults that a check looks at: by convention those under `fault` and the one that the window
/// under `during` is of. A window that goes beyond one fault belongs to no length of it.
fn named(params: &Value) -> BTreeSet<Name> {
    let mut names = BTreeSet::new();
    match &params["fault"] {
        Value::String(name) => drop(names.insert(name.as_str().into())),
        Value::Array(list) => names.extend(list.iter().filter_map(Value::as_str).map(Name::from)),
        _ => {}
    }
    let window = params["during"].as_str();
    if let Some(Ok(window)) = window.map(str::parse::<Window>) {
        names.extend(window.only_fault().cloned());
    }
    names
}

/// The finding for one length of a fault: which occurrence it was, and how long.
type Part<'a> = (&'a FaultBrief, u32, Period, Finding);

/// One finding of several lengths: the worst verdict, and everything with its length.
fn together(spec: &CheckSpec, parts: &[Part<'_>]) -> Finding {
    let verdicts = parts.iter().map(|(.., finding)| finding.verdict);
    let worst = verdicts.max().unwrap_or(Verdict::Inconclusive);
    let mut whole = Finding::new(spec, worst, summary(worst, parts));
    let mut notes: BTreeMap<&String, usize> = BTreeMap::new();
    for note in parts.iter().flat_map(|(.., finding)| &finding.notes) {
        *notes.entry(note).or_default() += 1;
    }
    for (fault, occurrence, length, finding) in parts {
        for evidence in &finding.evidence {
            let mut evidence = evidence.clone();
            evidence.measured = format!("{length}: {}", evidence.measured);
            whole.evidence.push(evidence);
        }
        for note in &finding.notes {
            if notes[note] == parts.len() {
                whole.note(note);
            } else {
                whole.note(format!("{length}: {note}"));
            }
        }
        for (name, value) in &finding.figures {
            let most = whole.figures.entry(name.clone()).or_insert(*value);
            *most = most.max(*value);
        }
        if finding.verdict == worst && whole.help.is_none() {
            whole.help.clone_from(&finding.help);
        }
        whole.traces.extend(finding.traces.iter().cloned());
        whole.lengths.push(LengthFinding {
            fault: fault.name.clone(),
            occurrence: *occurrence,
            length: *length,
            verdict: finding.verdict,
            summary: finding.summary.clone(),
            figures: finding.figures.clone(),
        });
    }
    whole
        .evidence
        .sort_by_key(|evidence| std::cmp::Reverse(evidence.verdict));
    whole
}

fn summary(worst: Verdict, parts: &[Part<'_>]) -> String {
    let passed = parts
        .iter()
        .filter(|(.., one)| one.verdict == Verdict::Pass);
    let tally = format!("{} of {} lengths pass", passed.count(), parts.len());
    let longest = parts.iter().map(|(_, _, length, _)| *length).max();
    let named = parts.iter().filter(|(_, _, length, finding)| {
        let counts = worst != Verdict::Pass || Some(*length) == longest;
        finding.verdict == worst && counts
    });
    let named = named.map(|(_, _, length, finding)| format!("; {length}: {}", finding.summary));
    tally + &named.collect::<String>()
}

#[cfg(test)]
mod tests;
