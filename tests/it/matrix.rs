//! The matrix of defects: what each check must say about each planted defect, with real processes
//! and real PostgreSQL, all times scaled down tenfold.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};
use std::fs;
use std::path::Path;
use std::sync::Mutex;

use chaosproxy::demo::Defect;
use clap::ValueEnum;

use crate::support::program::{Bench, Finished};
use crate::support::{postgres_is_missing, tell};

/// The checks of the scenario in the order of the table's columns: heading, name and type. The last
/// one is there by itself.
const CHECKS: [(&str, &str, &str); 18] = [
    ("de", "detects", "detection"),
    ("nr", "notices-refusal", "detection"),
    ("ha", "health-answers", "health"),
    ("hh", "health-is-honest", "health"),
    ("bo", "backs-off", "backoff"),
    ("rc", "recovers", "recovery"),
    ("jb", "job-resumes", "job"),
    ("is", "isolated", "isolation"),
    ("sl", "reads-in-time", "slo"),
    ("an", "answers-stay", "answer"),
    ("in", "nothing-lost-or-doubled", "integrity"),
    ("po", "pool-is-whole", "pool"),
    ("av", "outage-is-short", "availability"),
    ("ls", "log-says-so", "log"),
    ("lc", "log-is-calm", "log"),
    ("ec", "conflict-is-explained", "exit"),
    ("em", "mismatch-is-explained", "exit"),
    ("ss", "steady-state-after", ""),
];

/// A row per defect: the service that has it, its name, the expected verdict of each check. `P`
/// pass, `F` fail, `I` inconclusive; two letters where either is right.
///
/// - `PI`: whether a good figure counts, the machine decides; one that is busy otherwise has no
///   say.
/// - `I`: what stays away for good, later faults find nobody to touch; what is unwell still, cannot
///   notice the next fault.
/// - `PF`: it depends on what was under way. One connection is hit by a fault or is not; a batch
///   may be sent twice; who answers a failed write as if it were well, logs each.
const MATRIX: &str = "
                                       de nr ha hh bo rc jb is sl an in po av ls lc ec em ss
    -         -                        P  P  PI P  P  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  no-deadline              F  P  PI P  P  P  P  PI PI P  P  P  P  F  P  P  P  P
    codebase  health-waits             F  P  F  P  P  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  health-lies              P  F  PI F  P  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  retry-storm              P  P  PI P  F  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  fixed-interval           P  P  PI P  F  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  synchronised-herd        P  P  PI P  F  P  P  PI PI P  P  P  P  P  P  P  P  P
    codebase  gives-up                 P  I  I  I  I  F  I  PI PI P  P  F  F  P  I  P  P  F
    codebase  never-reconnects         P  I  I  I  I  F  I  PI PI P  P  F  F  P  I  P  P  F
    codebase  slow-recovery            P  I  PI P  PF F  P  PI PI P  P  F  F  P  P  P  P  PF
    codebase  connection-leak          P  P  PI P  P  P  P  PI PI P  P  F  P  P  P  P  P  P
    codebase  small-pool               P  PI PI PF P  PF P  PI PI P  P  F  P  P  P  P  P  P
    codebase  over-maximum             P  P  PI P  P  P  P  PI PI P  P  F  P  P  P  P  P  P
    codebase  exits-on-loss            P  I  FI I  I  F  I  PI PI P  P  F  F  P  I  P  P  F
    workflow  error-with-200           P  P  PI P  P  P  P  F  F  P  P  P  P  P  P  P  P  P
    workflow  shared-fate              P  P  PI P  P  P  P  F  F  P  P  P  P  P  P  P  P  P
    workflow  one-at-a-time            P  P  PI P  P  P  P  F  F  P  P  P  P  P  P  P  P  P
    workflow  silent-fallback          P  P  PI P  P  P  P  PI PI F  P  P  P  P  P  P  P  P
    workflow  empty-answer             P  P  PI P  P  P  P  PI PI F  P  P  P  P  P  P  P  P
    codebase  duplicate-on-retry       P  P  PI P  P  P  PF PI PI P  F  P  P  P  P  P  P  P
    codebase  lost-acknowledged-write  P  P  PI P  P  P  P  PI PI P  F  P  P  P  PF P  P  P
    codebase  resurrected-write        P  P  PI P  P  P  P  PI PI P  F  P  P  P  PF P  P  P
    codebase  lost-items               P  P  PI P  P  P  F  PI PI P  P  P  P  P  P  P  P  P
    codebase  partial-progress-lost    P  P  PI P  P  P  F  PI PI P  P  P  P  P  P  P  P  P
    codebase  stuck-running            P  P  PI P  P  P  F  PI PI P  P  P  P  P  P  P  P  P
    unlucky   wrong-exit               P  P  PI P  P  P  P  PI PI P  P  P  P  P  P  F  P  P
    outdated  schema-unchecked         P  P  PI P  P  P  P  PI PI P  P  P  P  P  P  P  F  P
    codebase  log-storm                P  P  PI P  P  P  P  PI PI P  P  P  P  P  F  P  P  P
";

/// One line of the matrix.
struct Row {
    service: &'static str,
    defect: &'static str,
    expected: Vec<&'static str>,
}

fn rows() -> Vec<Row> {
    let mut lines = MATRIX.lines().filter(|line| !line.trim().is_empty());
    let headings: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(headings, CHECKS.map(|(heading, ..)| heading));
    let rows = lines.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
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

/// The scenario's text with the row's defect planted in the command of its service.
fn scenario(row: &Row) -> String {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/all-checks-tenfold.toml");
    let text = fs::read_to_string(path).unwrap();
    if row.service == "-" {
        return text;
    }
    let command = format!("\"--listen\", \"{{{{service.{}.address}}}}\"", row.service);
    assert_eq!(text.matches(&command).count(), 1);
    let planted = format!("\"--defect\", \"{}\", {command}", row.defect);
    text.replace(&command, &planted)
}

fn letter(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "P",
        "fail" => "F",
        _ => "I",
    }
}

/// A run of the row that began. On a machine that is too busy for the steady state it may not.
fn begun(row: &Row) -> (Bench, Finished) {
    const NEVER_BEGAN: Option<i32> = Some(3);
    let mut tries = (0..3).map(|_| {
        let bench = Bench::new();
        let finished = bench.run(&bench.scenario(&scenario(row)));
        (bench, finished)
    });
    let begun = tries.find(|(_, finished)| finished.code != NEVER_BEGAN);
    begun.unwrap_or_else(|| panic!("{} {}: never began", row.service, row.defect))
}

/// A run of a row beside the table.
struct Compared {
    row: String,
    /// What differs.
    wrong: Vec<String>,
    /// What differs because the machine was too busy for a verdict.
    unjudged: Vec<String>,
    stdout: String,
}

impl Compared {
    fn is_as_expected(&self) -> bool {
        self.wrong.is_empty() && self.unjudged.is_empty()
    }
}

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}:", self.row)?;
        for line in self.wrong.iter().chain(&self.unjudged) {
            writeln!(f, "  {line}")?;
        }
        writeln!(f, "{}", self.stdout)
    }
}

/// Runs one row.
fn compare(row: &Row) -> Compared {
    let (bench, finished) = begun(row);
    let (verdicts, summaries) = (finished.verdicts(), finished.summaries());
    // A service that ends by itself is one check more.
    let more = usize::from(row.defect == "exits-on-loss");
    assert_eq!(verdicts.len(), CHECKS.len() + more, "{}", finished.stdout);
    let found = CHECKS.map(|(_, check, _)| letter(&verdicts[check]));
    let (mut wrong, mut unjudged) = (Vec::new(), Vec::new());
    for (((_, check, _), expected), found) in CHECKS.iter().zip(&row.expected).zip(found) {
        if expected.contains(found) {
            continue;
        }
        let summary = &summaries[*check];
        let busy = found == "I" && summary.contains("the machine was ");
        let list = if busy { &mut unjudged } else { &mut wrong };
        list.push(format!(
            "{check}: expected {expected}, found {found}: {summary}"
        ));
    }
    let exit = match () {
        () if found.contains(&"F") => 1,
        () if found.contains(&"I") => 4,
        () => 0,
    };
    if finished.code != Some(exit) {
        wrong.push(format!(
            "exit code: expected {exit}, found {:?}",
            finished.code
        ));
    }
    let survivors = bench.survivors();
    if !survivors.is_empty() {
        wrong.push(format!("left behind: {survivors:?}"));
    }
    Compared {
        row: format!("{} {}", row.service, row.defect),
        wrong,
        unjudged,
        stdout: finished.stdout,
    }
}

/// The rows that differ from the table, a few at a time.
fn differing(rows: &[Row], at_a_time: usize) -> Vec<&Row> {
    let (next, differing) = (Mutex::new(rows.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..at_a_time {
            scope.spawn(|| {
                loop {
                    let row = next.lock().unwrap().next();
                    let Some(row) = row else { return };
                    if !compare(row).is_as_expected() {
                        differing.lock().unwrap().push(row);
                    }
                }
            });
        }
    });
    differing.into_inner().unwrap()
}

/// The second of two runs of a row that was spoilt by others, unless the first is as expected.
fn alone(row: &Row) -> Option<Compared> {
    (!compare(row).is_as_expected()).then(|| compare(row))
}

#[test]
fn every_defect_has_a_row_and_every_type_of_check_two_defects_that_it_must_catch() {
    let rows = rows();
    assert_eq!(rows.len(), 28);
    let planted: BTreeSet<_> = rows[1..].iter().map(|row| row.defect.to_owned()).collect();
    let known = Defect::value_variants().iter();
    let known = known.map(|defect| defect.to_possible_value().unwrap().get_name().to_owned());
    assert_eq!(planted, known.collect());

    let mut catchers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in &rows {
        for ((.., kind), expected) in CHECKS.iter().zip(&row.expected) {
            if *expected == "F" {
                catchers.entry(kind).or_default().insert(row.defect);
            }
        }
    }
    catchers.remove("");
    // A regression compares runs with one another; its tests are beside it.
    let kinds = chaosproxy::check::kinds().iter();
    for kind in kinds.filter(|kind| kind.name != "regression") {
        let caught = catchers.remove(kind.name).unwrap_or_default();
        assert!(caught.len() >= 2, "`{}` must catch {caught:?}", kind.name);
    }
    assert!(catchers.is_empty(), "{catchers:?}");
}

#[test]
fn every_defect_is_caught_beside_other_tests() {
    if postgres_is_missing() {
        return;
    }
    let rows = rows();
    // What else runs may spoil a figure. What is wrong stays wrong, also when it is alone.
    let spoilt = differing(&rows, 2);
    let mut wrong = String::new();
    for compared in spoilt.into_iter().filter_map(alone) {
        if !compared.wrong.is_empty() {
            writeln!(wrong, "{compared}").unwrap();
        }
        for line in &compared.unjudged {
            tell(&format!("skipped: {}: {line}", compared.row));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
#[ignore = "measures: it must have the machine for itself, so `make test-long` runs it alone"]
fn every_cell_of_the_matrix_is_as_expected() {
    if postgres_is_missing() {
        return;
    }
    let rows = rows();
    let compared = rows.iter().map(compare);
    let wrong = compared.filter(|compared| !compared.is_as_expected());
    let wrong: Vec<String> = wrong.map(|compared| compared.to_string()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
