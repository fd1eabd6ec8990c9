use maud::{Markup, html};

use super::{badge, class, line};
use crate::check::{Severity, decimal, plural, trimmed};
use crate::report::diagnostics::why;
use crate::report::{CheckRecord, CheckVerdict, EvidenceRecord, Report};

/// Demands of one check that are listed at most; the worst come first.
const MOST_EVIDENCE: usize = 40;

/// Each check with what supports its verdict; open where it did not pass.
pub(super) fn verdicts(report: &Report) -> Markup {
    html! {
        @if report.checks.is_empty() { p .quiet { "The scenario has no checks." } }
        @for check in &report.checks { (verdict(check)) }
        @if !report.notes.is_empty() {
            h3 { "What limits the figures" }
            ul { @for note in &report.notes { li { (note) } } }
        }
    }
}

fn verdict(check: &CheckRecord) -> Markup {
    let open = (check.verdict != CheckVerdict::Pass).then_some("open");
    html! {
        details .check .(class(check.verdict)) open=[open] {
            summary {
                (badge(check.verdict))
                span .name { (check.name) }
                span .quiet {
                    (check.kind)
                    @if check.severity == Severity::Warning { ", warning only" }
                }
                span .said { (check.summary) }
            }
            @if !check.evidence.is_empty() {
                ul .evidence {
                    @for one in check.evidence.iter().take(MOST_EVIDENCE) { (evidence(one)) }
                }
            }
            @if check.evidence.len() > MOST_EVIDENCE {
                p .quiet { (check.evidence.len() - MOST_EVIDENCE) " more are in report.json." }
            }
            @for note in &check.notes { p .note { b { "note " } (note) } }
            @if let Some(help) = &check.help { p .note { b { "help " } (help) } }
            (figures(check))
        }
    }
}

fn evidence(evidence: &EvidenceRecord) -> Markup {
    html! {
        li {
            (badge(evidence.verdict.into()))
            dl {
                dt { "demanded" } dd { (evidence.expected) }
                dt { "measured" } dd { (evidence.measured) }
            }
            @if let Some(why) = why(&evidence.reasons) { p { (why) } }
            p .quiet {
                @if let Some(place) = evidence.place { (line(place.line)) }
                @if evidence.samples > 0 { span { (plural(evidence.samples, "observation")) } }
                @if let Some((from, to)) = evidence.window_s {
                    span { "from " (decimal(from, 1)) " s to " (decimal(to, 1)) " s" }
                }
            }
        }
    }
}

fn figures(check: &CheckRecord) -> Markup {
    html! {
        @if !check.figures.is_empty() {
            dl .figures {
                @for (name, figure) in check.figures.iter().take(MOST_EVIDENCE) {
                    div { dt { (name) } dd { (trimmed(*figure, 4)) } }
                }
            }
        }
    }
}
