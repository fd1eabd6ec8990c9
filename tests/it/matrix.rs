//! The matrix of defects: what each check must say about each planted defect, with real processes
//! and real PostgreSQL, all bounds of the main job scaled down tenfold.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::support::postgres_is_missing;
use crate::support::program::Bench;

/// The checks of the scenario, in the order of the table's columns.
const CHECKS: [&str; 8] = [
    "codebase-detects",
    "codebase-health-answers",
    "codebase-backs-off",
    "codebase-recovers",
    "index-resumes",
    "workflow-isolated",
    "nothing-lost-or-doubled",
    "steady-state-after",
];

/// `P` pass, `F` fail, `I` inconclusive; two letters where either is right.
struct Row {
    /// Which service has which defect; nothing for the healthy servers.
    planted: Option<(&'static str, &'static str)>,
    expected: [&'static str; 8],
    exit: i32,
}

const fn row(
    service: &'static str,
    defect: &'static str,
    expected: [&'static str; 8],
    exit: i32,
) -> Row {
    Row {
        planted: Some((service, defect)),
        expected,
        exit,
    }
}

//                     detects health backoff recovers job  isolated integrity steady
const MATRIX: [Row; 7] = [
    Row {
        planted: None,
        expected: ["P", "P", "P", "P", "P", "P", "P", "P"],
        exit: 0,
    },
    row(
        "codebase",
        "no-deadline",
        ["F", "P", "P", "P", "P", "P", "P", "P"],
        1,
    ),
    row(
        "codebase",
        "health-waits",
        ["F", "F", "P", "P", "P", "P", "P", "P"],
        1,
    ),
    row(
        "codebase",
        "retry-storm",
        ["P", "P", "F", "P", "P", "P", "P", "P"],
        1,
    ),
    row(
        "workflow",
        "shared-fate",
        ["P", "P", "P", "P", "P", "F", "P", "P"],
        1,
    ),
    row(
        "codebase",
        "duplicate-on-retry",
        ["P", "P", "P", "P", "P", "P", "F", "P"],
        1,
    ),
    row(
        "codebase",
        "lost-items",
        ["P", "P", "P", "P", "F", "P", "P", "P"],
        1,
    ),
];

fn letter(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "P",
        "fail" => "F",
        _ => "I",
    }
}

/// The scenario's text with a defect planted in the command of one service.
fn scenario(planted: Option<(&str, &str)>) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/db-partition-tenfold.toml");
    let text = fs::read_to_string(path).unwrap();
    let Some((service, defect)) = planted else {
        return text;
    };
    let command = format!("\"demo\", \"{service}\",");
    assert_eq!(text.matches(&command).count(), 1);
    text.replace(&command, &format!("{command} \"--defect\", \"{defect}\","))
}

/// Runs one row; says what differs from the table.
fn differences(row: &Row) -> Option<String> {
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(&scenario(row.planted)));
    let verdicts = finished.verdicts();
    assert_eq!(verdicts.len(), CHECKS.len(), "{verdicts:?}");
    let mut wrong = String::new();
    for (check, expected) in CHECKS.iter().zip(row.expected) {
        let found = letter(&verdicts[*check]);
        if !expected.contains(found) {
            writeln!(wrong, "  {check}: expected {expected}, found {found}").unwrap();
        }
    }
    if finished.code != Some(row.exit) {
        writeln!(
            wrong,
            "  exit code: expected {}, found {:?}",
            row.exit, finished.code
        )
        .unwrap();
    }
    let survivors = bench.survivors();
    if !survivors.is_empty() {
        writeln!(wrong, "  left behind: {survivors:?}").unwrap();
    }
    (!wrong.is_empty()).then(|| format!("{:?}:\n{wrong}\n{}", row.planted, finished.stdout))
}

#[test]
#[ignore = "measures: it must have the machine for itself, so `make test` runs it after the others"]
fn every_defect_is_caught_by_the_checks_that_must_catch_it_and_by_no_other() {
    if postgres_is_missing() {
        return;
    }
    let wrong: Vec<String> = MATRIX.iter().filter_map(differences).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
