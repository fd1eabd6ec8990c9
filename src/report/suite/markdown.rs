use std::fmt::Write as _;

use super::{Run, Series, Suite, text};
use crate::report::CheckVerdict;

/// The suite as Markdown, for a step summary: a table of all runs, and below it what did not hold,
/// file by file.
pub fn markdown(suite: &Suite) -> String {
    let mut out = format!("## chaosproxy: {}\n\n", suite.conclusion().word());
    out.push_str("| file | run | verdict | checks | duration |\n|---|---|---|---|---|\n");
    for row in text::rows(suite) {
        let [file, label, verdict, checks, duration, _folder] = row.map(|cell| inline(&cell));
        line(
            &mut out,
            format_args!("| {file} | {label} | {verdict} | {checks} | {duration} |"),
        );
    }
    for series in &suite.series {
        let points = points(series);
        if !points.is_empty() {
            line(&mut out, format_args!("\n### {}\n", inline(&series.path)));
            for point in points {
                line(&mut out, format_args!("- {point}"));
            }
        }
    }
    out.push('\n');
    out
}

fn points(series: &Series) -> Vec<String> {
    let error = series.error.iter().map(|error| inline(error));
    let flaky = series.flaky();
    let flaky = flaky
        .iter()
        .map(|one| format!("**{}** is flaky: {}", inline(&one.check), one.tally()));
    let of_runs = series.counted().flat_map(of_run);
    error.chain(flaky).chain(of_runs).collect()
}

fn of_run(run: &Run) -> Vec<String> {
    let report = &run.report;
    let reason = report.reason.iter().map(|reason| inline(reason));
    let wrong = report.checks.iter().filter(|check| {
        let verdict = check.verdict;
        matches!(verdict, CheckVerdict::Fail | CheckVerdict::Inconclusive)
    });
    let wrong = wrong.map(|check| {
        let help = check.help.as_deref().unwrap_or_default();
        format!(
            "**{}** {}: {}{}{}",
            inline(&check.name),
            check.verdict.word(),
            inline(&check.summary),
            if help.is_empty() { "" } else { "; " },
            inline(help),
        )
    });
    reason.chain(wrong).collect()
}

/// Text that stays on its line and in its cell, and is no markup.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        match letter {
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '[' | ']' | '<' | '>' | '\\' | '`' | '#' | '~' => {
                out.extend(['\\', letter]);
            }
            _ => out.push(letter),
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_a_cell() {
        assert_eq!(inline("a|b\nc `d`"), r"a\|b c \`d\`");
    }
}
