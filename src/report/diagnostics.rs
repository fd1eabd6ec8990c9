use super::{CheckRecord, CheckVerdict, EvidenceRecord, Place, Report};
use crate::check::{Severity, Verdict, decimal, plural};
use crate::diag::{Diagnostic, Label, Span};
use crate::event::{Gate, Reason};

/// Each check that did not pass, and a steady state that was not met, as a message that points
/// into the scenario's text. In the order of the report.
pub fn diagnostics(report: &Report) -> Vec<Diagnostic> {
    let gate = gate(report);
    gate.into_iter()
        .chain(report.checks.iter().filter_map(diagnostic))
        .collect()
}

/// The message of one check; `None` if it passed, or was cut short without a word to say.
pub(super) fn diagnostic(check: &CheckRecord) -> Option<Diagnostic> {
    let (wanted, verdict) = match check.verdict {
        CheckVerdict::Pass | CheckVerdict::Aborted => return None,
        CheckVerdict::Fail => (Verdict::Fail, "failed"),
        CheckVerdict::Inconclusive => (Verdict::Inconclusive, "is inconclusive"),
    };
    let grave = check.verdict == CheckVerdict::Fail && check.severity == Severity::Error;
    let mut diagnostic = Diagnostic {
        severity: if grave {
            crate::diag::Severity::Error
        } else {
            crate::diag::Severity::Warning
        },
        message: format!("check `{}` {verdict}: {}", check.name, check.summary),
        primary: None,
        related: Vec::new(),
        notes: Vec::new(),
        help: check.help.clone(),
    };
    for evidence in check.evidence.iter().filter(|one| one.verdict == wanted) {
        match evidence.place.map(|place| label(place, check, evidence)) {
            Some(label) if diagnostic.primary.is_none() => diagnostic.primary = Some(label),
            Some(label) => diagnostic.related.push(label),
            None => diagnostic.notes.push(format!(
                "expected {}, measured {}",
                evidence.expected, evidence.measured
            )),
        }
        diagnostic.notes.extend(window(evidence));
        diagnostic.notes.extend(why(&evidence.reasons));
    }
    // What has no evidence has a place all the same.
    diagnostic.primary = diagnostic.primary.or_else(|| {
        check.place.map(|place| Label {
            span: span(place),
            text: String::new(),
        })
    });
    diagnostic.notes.extend(check.notes.iter().cloned());
    diagnostic.notes = unique(diagnostic.notes);
    Some(diagnostic)
}

/// What was measured beside the demand; or the demand, where the message already says the former.
fn label(place: Place, check: &CheckRecord, evidence: &EvidenceRecord) -> Label {
    let text = if check.summary.contains(&evidence.measured) {
        format!("expected: {}", evidence.expected)
    } else {
        evidence.measured.clone()
    };
    Label {
        span: span(place),
        text,
    }
}

/// Each text once, at its first place.
fn unique(texts: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

fn window(evidence: &EvidenceRecord) -> Option<String> {
    let (from, to) = evidence.window_s?;
    Some(format!(
        "looked at {} from {} s to {} s",
        plural(evidence.samples, "observation"),
        decimal(from, 1),
        decimal(to, 1)
    ))
}

/// Why observations were not ok, in a line.
pub(super) fn why(reasons: &[Reason]) -> Option<String> {
    let reasons: Vec<_> = reasons.iter().map(Reason::to_string).collect();
    (!reasons.is_empty()).then(|| format!("not ok: {}", reasons.join("; ")))
}

const fn span(place: Place) -> Span {
    Span {
        start: place.start,
        end: place.end,
    }
}

/// What the gate before the first fault refused.
fn gate(report: &Report) -> Option<Diagnostic> {
    let before = report
        .steady_state
        .iter()
        .rfind(|judged| judged.gate == Gate::Before)?;
    let mut missed = before.conditions.iter().filter(|one| !one.met);
    let first = missed.next()?;
    let at = |place: Option<Place>| place.map(span).unwrap_or_default();
    let mut diagnostic = Diagnostic::error(
        at(first.place),
        "the steady state was not met; the schedule never began",
        first.measured.clone(),
    )
    .help("see that the servers are well before faults are injected, or relax the condition");
    diagnostic.notes.extend(why(&first.reasons));
    for condition in missed {
        diagnostic.notes.extend(why(&condition.reasons));
        diagnostic = diagnostic.related(at(condition.place), condition.measured.clone());
    }
    Some(diagnostic)
}
