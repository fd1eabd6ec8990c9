//! The matrix of defects: what each check must say about each planted defect, with real processes
//! and real PostgreSQL, all bounds of the main job scaled down tenfold.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::support::postgres_is_missing;
use crate::support::program::{Bench, Finished};

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

/// A row per defect: the service that has it, its name, the expected verdict of each check. `P`
/// pass, `F` fail, `I` inconclusive; two letters where either is right: whether a
/// neighbour kept its pace cannot be told on a machine that had no time to spare.
///
/// The columns: detects, health answers, backs off, recovers, job, isolated, integrity, steady
/// state after.
const MATRIX: &str = "
    -         -                   P  P  P  P  P  PI P  P
    codebase  no-deadline         F  P  P  P  P  PI P  P
    codebase  health-waits        F  F  P  P  P  PI P  P
    codebase  retry-storm         P  P  F  P  P  PI P  P
    workflow  shared-fate         P  P  P  P  P  F  P  P
    codebase  duplicate-on-retry  P  P  P  P  P  PI F  P
    codebase  lost-items          P  P  P  P  F  PI P  P
";

/// One line of the matrix.
struct Row<'a> {
    service: &'a str,
    defect: &'a str,
    expected: Vec<&'a str>,
}

fn rows() -> Vec<Row<'static>> {
    let lines = MATRIX.lines().filter(|line| !line.trim().is_empty());
    let rows = lines.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [service, defect, expected @ ..] = words.as_slice() else {
            panic!("not a row: {line}");
        };
        assert_eq!(expected.len(), CHECKS.len(), "{line}");
        Row {
            service,
            defect,
            expected: expected.to_vec(),
        }
    });
    rows.collect()
}

fn letter(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "P",
        "fail" => "F",
        _ => "I",
    }
}

/// The scenario's text with the row's defect planted in the command of its service.
fn scenario(row: &Row<'_>) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/db-partition-tenfold.toml");
    let text = fs::read_to_string(path).unwrap();
    if row.service == "-" {
        return text;
    }
    let command = format!("\"demo\", \"{}\",", row.service);
    assert_eq!(text.matches(&command).count(), 1);
    let planted = format!("{command} \"--defect\", \"{}\",", row.defect);
    text.replace(&command, &planted)
}

/// A run of the row that began. On a machine that is too busy for the steady state it may not.
fn begun(row: &Row<'_>) -> (Bench, Finished) {
    const NEVER_BEGAN: Option<i32> = Some(3);
    let mut tries = (0..3).map(|_| {
        let bench = Bench::new();
        let finished = bench.run(&bench.scenario(&scenario(row)));
        (bench, finished)
    });
    let begun = tries.find(|(_, finished)| finished.code != NEVER_BEGAN);
    begun.unwrap_or_else(|| panic!("{} {}: never began", row.service, row.defect))
}

/// Runs one row; says what differs from the table.
fn differences(row: &Row<'_>) -> Option<String> {
    let (bench, finished) = begun(row);
    let verdicts = finished.verdicts();
    assert_eq!(verdicts.len(), CHECKS.len(), "{}", finished.stdout);
    let mut wrong = String::new();
    let found = CHECKS.map(|check| letter(&verdicts[check]));
    for ((check, expected), found) in CHECKS.iter().zip(&row.expected).zip(found) {
        if !expected.contains(found) {
            writeln!(wrong, "  {check}: expected {expected}, found {found}").unwrap();
        }
    }
    let exit = match () {
        () if found.contains(&"F") => 1,
        () if found.contains(&"I") => 4,
        () => 0,
    };
    if finished.code != Some(exit) {
        writeln!(
            wrong,
            "  exit code: expected {exit}, found {:?}",
            finished.code
        )
        .unwrap();
    }
    let survivors = bench.survivors();
    if !survivors.is_empty() {
        writeln!(wrong, "  left behind: {survivors:?}").unwrap();
    }
    (!wrong.is_empty()).then(|| {
        format!(
            "{} {}:\n{wrong}\n{}",
            row.service, row.defect, finished.stdout
        )
    })
}

#[test]
#[ignore = "measures: it must have the machine for itself, so `make test-long` runs it alone"]
fn every_defect_is_caught_by_the_checks_that_must_catch_it_and_by_no_other() {
    if postgres_is_missing() {
        return;
    }
    let rows = rows();
    assert_eq!(rows.len(), 7);
    let wrong: Vec<String> = rows.iter().filter_map(differences).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
