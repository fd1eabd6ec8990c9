//! The report as one page that needs nothing but itself: no script, no font, no request.
//!
//! Every text is escaped by `maud`; the page's policy forbids scripts and requests besides.

mod attempts;
mod bands;
mod log;
mod origin;
mod scenario;
mod tables;
mod timeline;
mod verdicts;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{CheckVerdict, Outcome, Report};
use crate::check::decimal;

const STYLE: &str = include_str!("style.css");
/// The browser itself sees to it that nothing is run or fetched.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// The report as `report.html` holds it.
pub fn html(report: &Report, scenario_text: &str) -> String {
    let sections = [
        ("verdicts", "Verdicts", verdicts::verdicts(report)),
        ("sweeps", "Outage sweep", tables::sweeps(report)),
        ("timeline", "Timeline", timeline::timeline(report)),
        (
            "attempts",
            "Attempts at a session",
            attempts::attempts(report),
        ),
        ("jobs", "Jobs", timeline::jobs(report)),
        ("faults", "Faults", tables::faults(report)),
        ("traffic", "Traffic by window", tables::traffic(report)),
        (
            "connections",
            "Connections by window",
            tables::connections(report),
        ),
        ("held", "Held or ended by faults", tables::held(report)),
        ("steady-state", "Steady state", tables::steady_state(report)),
        (
            "scenario",
            "Scenario",
            scenario::scenario(report, scenario_text),
        ),
        ("log", "Event log", log::log(&report.course.log)),
        ("origin", "Origin", origin::origin(report)),
    ];
    let sections = sections.map(|(id, title, body)| (id, title, body.into_string()));
    let filled = || sections.iter().filter(|(.., body)| !body.is_empty());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (report.outcome.word()) ": " (report.scenario.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                nav { @for (id, title, _) in filled() { a href={ "#" (id) } { (title) } } }
                main {
                    @for (id, title, body) in filled() {
                        section id=(id) { h2 { (title) } (PreEscaped(body)) }
                    }
                }
            }
        }
    };
    shown(&page.into_string())
}

/// The page with a symbol for each character that HTML does not have, such as the NUL of a log line.
fn shown(page: &str) -> String {
    let symbol = |c: char| match c {
        '\t' | '\n' | '\r' => c,
        '\0'..='\x1f' => {
            char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
        '\x7f' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => char::REPLACEMENT_CHARACTER,
        _ => c,
    };
    page.chars().map(symbol).collect()
}

fn header(report: &Report) -> Markup {
    let (class, symbol) = match report.outcome {
        Outcome::Passed => ("pass", "✔"),
        Outcome::Failed | Outcome::Error => ("fail", "✘"),
        _ => ("unsure", "?"),
    };
    html! {
        header {
            p .outcome .(class) {
                strong { (symbol) " " (report.outcome.word()) }
                span { (tally(report)) }
            }
            @if let Some(reason) = &report.reason { p .reason { (reason) } }
            h1 { (report.scenario.title) }
            @if !report.scenario.hypothesis.is_empty() { p { (report.scenario.hypothesis) } }
            p .quiet {
                (report.scenario.path) " · " (report.started_at.strftime("%Y-%m-%d %H:%M:%S UTC"))
                " · " (format!("{:.1} s", report.duration_s)) " · seed " (report.seed)
            }
        }
    }
}

/// How many checks came to what.
fn tally(report: &Report) -> String {
    let verdicts = [
        CheckVerdict::Pass,
        CheckVerdict::Fail,
        CheckVerdict::Inconclusive,
        CheckVerdict::Aborted,
    ];
    let counted = verdicts.map(|verdict| {
        let these = report
            .checks
            .iter()
            .filter(|check| check.verdict == verdict);
        (these.count(), verdict.word())
    });
    let counts = counted.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if counts.is_empty() {
        "no checks".to_owned()
    } else {
        format!("checks: {}", counts.join(", "))
    }
}

/// The class of a verdict in the style.
const fn class(verdict: CheckVerdict) -> &'static str {
    match verdict {
        CheckVerdict::Pass => "pass",
        CheckVerdict::Fail => "fail",
        CheckVerdict::Inconclusive | CheckVerdict::Aborted => "unsure",
    }
}

/// Symbol and word: a verdict is never told by its colour alone.
fn badge(verdict: CheckVerdict) -> Markup {
    html! { span .badge .(class(verdict)) { (verdict.symbol()) " " (verdict.word()) } }
}

/// A link to a line of the scenario's text.
fn line(number: usize) -> Markup {
    html! { a href={ "#L" (number) } { "line " (number) } }
}

/// Seconds with the precision that a person reads.
fn seconds(seconds: f64) -> String {
    format!("{} s", decimal(seconds, 3))
}
