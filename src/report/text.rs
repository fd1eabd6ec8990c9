use std::fmt::Write;
use std::path::Path;

use anstyle::{AnsiColor, Style};

use super::diagnostics::diagnostics;
use super::{CheckVerdict, EdgeRecord, Outcome, Report, SpreadRecord, SweepRecord};
use crate::check::{Severity, decimal};
use crate::diag::{self, Source};

pub(super) const HEADING: Style = Style::new().bold();
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const UNSURE: Style = AnsiColor::Yellow.on_default();

/// The report for a terminal, with colours: what was done, what was seen, the verdicts, a message
/// for each check that did not pass, and one summary line last. `kept` is where it can be read.
pub fn text(report: &Report, scenario_text: &str, kept: &Path) -> String {
    let source = Source {
        name: report.scenario.path.clone(),
        text: scenario_text.into(),
    };
    let mut out = format!("{HEADING}{}{HEADING:#}\n\n", report.scenario.title);
    section(&mut out, "faults", &faults(report));
    section(&mut out, "traffic", &traffic(report));
    section(&mut out, "connections", &connections(report));
    section(&mut out, "carried", &carried(report));
    section(&mut out, "held or ended by faults", &held(report));
    for sweep in &report.sweeps {
        let heading = format!("sweep of {}", sweep.fault);
        section(&mut out, &heading, &lengths(sweep));
    }
    section(&mut out, "verdicts", &verdicts(report));
    let notes = report.notes.iter().map(|note| format!("  {note}\n"));
    section(&mut out, "notes", &notes.collect::<String>());
    out.push_str(&diag::render(
        &diagnostics(report),
        &source,
        diag::Style::Coloured,
    ));
    out.push_str(&summary(report, kept));
    out
}

/// A heading and what stands below it; nothing if there is nothing to tell.
fn section(out: &mut String, heading: &str, body: &str) {
    if !body.is_empty() {
        append(out, format_args!("{HEADING}{heading}{HEADING:#}\n{body}\n"));
    }
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}

fn faults(report: &Report) -> String {
    let mut rows = Vec::new();
    for fault in &report.faults {
        let what = format!("{} on {}", fault.kind, fault.proxy);
        if fault.occurrences.is_empty() {
            rows.push([
                fault.name.to_string(),
                what.clone(),
                "not injected".into(),
                String::new(),
                String::new(),
            ]);
        }
        for occurrence in &fault.occurrences {
            let victims: u64 = occurrence.victims.values().sum();
            rows.push([
                fault.name.to_string(),
                what.clone(),
                moment("from", Some(occurrence.injected)),
                moment("to", occurrence.lifted),
                format!("touched: {victims}"),
            ]);
        }
    }
    table(&rows, 5)
}

fn moment(which: &str, edge: Option<EdgeRecord>) -> String {
    edge.map_or_else(String::new, |edge| {
        let late = decimal(edge.late_ms, 1);
        let sign = if late.starts_with('-') { "" } else { "+" };
        format!("{which} {} s ({sign}{late} ms)", decimal(edge.actual_s, 3))
    })
}

fn traffic(report: &Report) -> String {
    let mut rows = vec![["", "", "requests", "errors", "p50", "p95", "p99"].map(String::from)];
    for source in &report.sources {
        for window in &source.windows {
            rows.push([
                source.name.to_string(),
                window.window.clone(),
                window.requests.to_string(),
                format!("{:.1} %", window.error_rate * 100.0),
                milliseconds(window.latency_p50_ms),
                milliseconds(window.latency_p95_ms),
                milliseconds(window.latency_p99_ms),
            ]);
        }
    }
    if rows.len() == 1 {
        String::new()
    } else {
        table(&rows, 2)
    }
}

fn milliseconds(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms"))
}

fn connections(report: &Report) -> String {
    let mut rows = vec![["", "", "accepted", "attempts", "sessions", "refused"].map(String::from)];
    for proxy in &report.proxies {
        for window in &proxy.windows {
            rows.push([
                proxy.name.to_string(),
                window.window.clone(),
                window.connections.to_string(),
                window.attempts.to_string(),
                window.sessions.to_string(),
                window.refused.to_string(),
            ]);
        }
    }
    if rows.len() == 1 {
        String::new()
    } else {
        table(&rows, 2)
    }
}

/// For each proxy bytes, who ended connections, what chaosproxy itself added and what faults did.
fn carried(report: &Report) -> String {
    let mut rows = Vec::new();
    for proxy in &report.proxies {
        let Some(totals) = &proxy.totals else {
            continue;
        };
        let [up, down] = [totals.bytes_upstream, totals.bytes_downstream].map(bytes);
        let closed = proxy
            .closed
            .iter()
            .map(|(by, count)| format!("{by} {count}"));
        let spread = |spread: Option<SpreadRecord>| {
            let spread = spread?;
            let [p50, p99, max] = [spread.p50_ms, spread.p99_ms, spread.max_ms].map(span);
            Some(format!("p50 {p50}, p99 {p99}, max {max}"))
        };
        let figures = [
            ("bytes", Some(format!("{up} up, {down} down"))),
            ("closed by", Some(closed.collect::<Vec<_>>().join(", "))),
            ("own delay", spread(totals.own)),
            ("held by faults", spread(totals.injected)),
            ("and late by", spread(totals.late)),
        ];
        rows.extend(figures.into_iter().filter_map(|(what, figure)| {
            let figure = figure.filter(|figure| !figure.is_empty())?;
            Some([proxy.name.to_string(), what.to_owned(), figure])
        }));
    }
    table(&rows, 3)
}

/// A number of bytes, in the unit that it is best read in.
pub(super) fn bytes(count: u64) -> String {
    let units = [("GB", 1e9), ("MB", 1e6), ("KB", 1e3)];
    let count = count as f64;
    match units.into_iter().find(|(_, scale)| count >= *scale) {
        Some((unit, scale)) => format!("{:.1} {unit}", count / scale),
        None => format!("{count} B"),
    }
}

/// Milliseconds, in the unit that they are best read in.
fn span(ms: f64) -> String {
    if ms < 1.0 {
        format!("{:.0} us", ms * 1e3)
    } else if ms < 1000.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.2} s", ms / 1e3)
    }
}

/// The connections that faults hurt most.
fn held(report: &Report) -> String {
    let rows = report.proxies.iter().flat_map(|proxy| {
        proxy.held.iter().map(|one| {
            [
                proxy.name.to_string(),
                format!("#{} {}", one.conn, one.client),
                format!("held {:.2} s", one.held_s),
                format!("hit by {}", one.faults.join(", ")),
                format!("{:.2} s to {:.2} s", one.opened_s, one.closed_s),
                format!("closed: {}", one.closed),
            ]
        })
    });
    table(&rows.collect::<Vec<_>>(), 6)
}

fn lengths(sweep: &SweepRecord) -> String {
    let heads = [
        "length",
        "detected",
        "recovered",
        "worst case",
        "verdict",
        "",
    ];
    let mut rows = vec![heads.map(String::from)];
    for one in &sweep.lengths {
        let verdict = one.verdict.map_or("-", CheckVerdict::word);
        rows.push([
            one.length.to_string(),
            seconds(one.detection_s),
            seconds(one.recovery_s),
            seconds(one.worst_case_s),
            verdict.to_owned(),
            one.not_passed.join(", "),
        ]);
    }
    table(&rows, 6)
}

fn seconds(figure: Option<f64>) -> String {
    figure.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2} s"))
}

fn verdicts(report: &Report) -> String {
    let names = report.checks.iter().map(|check| check.name.chars().count());
    let width = names.max().unwrap_or(0);
    let mut out = String::new();
    for check in &report.checks {
        let style = match check.verdict {
            CheckVerdict::Pass => GOOD,
            CheckVerdict::Fail => BAD,
            CheckVerdict::Inconclusive | CheckVerdict::Aborted => UNSURE,
        };
        let (symbol, verdict) = (check.verdict.symbol(), check.verdict.word());
        let weight = match check.severity {
            Severity::Error => "",
            Severity::Warning => " (warning only)",
        };
        append(
            &mut out,
            format_args!(
                "  {style}{symbol} {verdict:<12}{style:#}  {:<width$}  {}{weight}\n",
                check.name, check.summary
            ),
        );
    }
    out
}

/// How many checks came to what, and where the report is. The outcome comes last.
fn summary(report: &Report, kept: &Path) -> String {
    let count = |verdict| {
        let found = report
            .checks
            .iter()
            .filter(|check| check.verdict == verdict);
        found.count()
    };
    let tallies = [
        CheckVerdict::Pass,
        CheckVerdict::Fail,
        CheckVerdict::Inconclusive,
        CheckVerdict::Aborted,
    ];
    let tallies: Vec<_> = tallies
        .into_iter()
        .map(|verdict| (count(verdict), verdict.word()))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let style = match report.outcome {
        Outcome::Passed => GOOD,
        Outcome::Failed | Outcome::Error => BAD,
        _ => UNSURE,
    };
    let outcome = report.outcome.word();
    let reason = match &report.reason {
        Some(reason) => format!(" ({reason})"),
        None => String::new(),
    };
    format!(
        "report: {}\n{style}{outcome}{style:#}{reason}: checks: {}; {:.1} s, seed {}, exit code {}\n",
        kept.display(),
        if tallies.is_empty() {
            "none".to_owned()
        } else {
            tallies.join(", ")
        },
        report.duration_s,
        report.seed,
        report.exit_code
    )
}

/// Columns as wide as their widest cell; those from `right` on are aligned to the right. A first
/// cell that repeats the one above is left blank.
pub(super) fn table<const N: usize>(rows: &[[String; N]], right: usize) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut out = String::new();
    for (index, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let repeats = column == 0 && index > 0 && rows[index - 1][0] == *cell;
            let cell = if repeats { "" } else { cell };
            let width = width(column);
            if column < right {
                append(&mut line, format_args!("  {cell:<width$}"));
            } else {
                append(&mut line, format_args!("  {cell:>width$}"));
            }
        }
        append(&mut out, format_args!("{}\n", line.trim_end()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_the_unit_that_fits() {
        let texts = [0, 999, 1_234, 56_789_000, 7_000_000_000].map(bytes);
        assert_eq!(texts, ["0 B", "999 B", "1.2 KB", "56.8 MB", "7.0 GB"]);
    }
}
