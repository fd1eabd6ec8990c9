use std::fmt::Write as _;

use super::{Conclusion, Run, Series, Suite};
use crate::report::text::{BAD, GOOD, HEADING, UNSURE, table};
use crate::report::{CheckVerdict, Outcome};

/// The suite for a terminal, with colours: a row for each run, what is flaky, and one summary line
/// last.
pub fn text(suite: &Suite) -> String {
    let head = ["file", "run", "verdict", "checks", "duration", "folder"];
    let mut table_rows = vec![head.map(String::from)];
    table_rows.extend(rows(suite));
    let mut out = format!(
        "{HEADING}suite{HEADING:#}\n{}\n",
        table(&table_rows, head.len())
    );
    for series in &suite.series {
        for one in series.flaky() {
            let (path, check, tally) = (&series.path, &one.check, one.tally());
            append(
                &mut out,
                format_args!("flaky: check `{check}` of {path}: {tally}\n"),
            );
        }
        if let Some(error) = &series.error {
            append(&mut out, format_args!("error: {}: {error}\n", series.path));
        }
    }
    out.push_str(&summary(suite));
    out
}

/// File, run, verdict, checks that did not hold, duration, folder: one row for each run.
pub(super) fn rows(suite: &Suite) -> Vec<[String; 6]> {
    suite.series.iter().flat_map(of_series).collect()
}

fn of_series(series: &Series) -> Vec<[String; 6]> {
    let mut rows: Vec<_> = series
        .runs()
        .map(|(label, _, run)| {
            let report = &run.report;
            [
                series.path.clone(),
                label,
                report.outcome.word().to_owned(),
                missed(run),
                format!("{:.1} s", report.duration_s),
                run.folder.display().to_string(),
            ]
        })
        .collect();
    if series.error.is_some() || rows.is_empty() {
        let mut row = [const { String::new() }; 6];
        row[0].clone_from(&series.path);
        series.conclusion().word().clone_into(&mut row[2]);
        rows.push(row);
    }
    rows
}

/// The checks that failed; if none did, those that are inconclusive.
fn missed(run: &Run) -> String {
    let names = |verdict| {
        let checks: Vec<_> = run.checks(verdict).map(|check| &*check.name).collect();
        checks.join(", ")
    };
    let failed = names(CheckVerdict::Fail);
    if failed.is_empty() {
        names(CheckVerdict::Inconclusive)
    } else {
        failed
    }
}

/// How many files came to what, and the outcome first.
fn summary(suite: &Suite) -> String {
    let conclusion = suite.conclusion();
    let style = match conclusion {
        Conclusion::Came(Outcome::Passed) => GOOD,
        Conclusion::Flaky | Conclusion::Came(Outcome::Failed | Outcome::Error) => BAD,
        _ => UNSURE,
    };
    let mut tally: Vec<(&str, usize)> = Vec::new();
    for word in suite.series.iter().map(|series| series.conclusion().word()) {
        match tally.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => tally.push((word, 1)),
        }
    }
    let tally: Vec<_> = tally
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    let runs = suite.series.iter().flat_map(Series::runs);
    let (mut count, mut seconds) = (0, 0.0);
    for (_, _, run) in runs {
        count += 1;
        seconds += run.report.duration_s;
    }
    format!(
        "{style}{}{style:#}: files: {}; runs: {count}, {seconds:.1} s, exit code {}\n",
        conclusion.word(),
        tally.join(", "),
        suite.exit_code()
    )
}

fn append(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes every text");
}
