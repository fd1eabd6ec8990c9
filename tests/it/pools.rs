//! What each check must say of connection pools as people use them, under four faults. The servers
//! are in `tests/pools`.

use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use chaosproxy::own::Strangers;

use crate::support::program::Bench;
use crate::support::{postgres_is_missing, tell};

const CHECKS: [&str; 6] = [
    "detection",
    "backoff",
    "recovery",
    "health",
    "availability",
    "pool",
];
const FAULTS: [&str; 4] = ["cut", "stall", "refuse", "reject"];

/// A row per pool, a column per fault, in it the verdicts of the checks in their order: `P` pass,
/// `F` fail, `I` inconclusive, and what may be either in brackets.
///
/// - `cut`, detection: the next request finds the broken connection and the one after it a new one;
///   a probe each 100 ms may see the moment between them or not.
/// - `cut`, backoff: it lasts a moment, in which a pool need not dial.
/// - backoff, `F`: `SQLAlchemy`, asyncpg, node-pg, deadpool and sqlx dial once for each request that
///   finds no connection, and never wait (20 attempts a second, as many as requests); sqlx dials
///   again within a request when it is refused. bb8 waits twice as long each time, but never longer
///   than half of its `connection_timeout`, here 1 s, which is more than the default policy allows.
/// - backoff, `P`: `psycopg_pool` waits 1, 2, 4 s in the background, `HikariCP` 250 ms and half as much
///   again each time. Under a stall an attempt hangs until the pool's own deadline of 2 s, which
///   bounds the attempts of node-pg, deadpool and `SQLAlchemy`, too; asyncpg and sqlx give the
///   attempt up with its request and begin another one for the next.
/// - pool, `P`: none opens more than 4. Those on demand need not come back to what they had.
///
/// The attempts were counted independently, by the SYN packets to each port.
const TABLE: &str = "
    pool          cut            stall       refuse      reject
    psycopg-pool  [PI][PI]PPPP   PPPPPP      PPPPPP      PPPPPP
    sqlalchemy    [PI][PI]PPPP   PPPPPP      PFPPPP      PFPPPP
    asyncpg       [PI][PI]PPPP   PFPPPP      PFPPPP      PFPPPP
    node-pg       [PI][PI]PPPP   PPPPPP      PFPPPP      PFPPPP
    hikaricp      [PI][PI]PPPP   PPPPPP      PPPPPP      PPPPPP
    bb8           [PI][PI]PPPP   PPPPPP      PFPPPP      PFPPPP
    deadpool      [PI][PI]PPPP   PPPPPP      PFPPPP      PFPPPP
    sqlx          [PI][PI]PPPP   PFPPPP      PFPPPP      PFPPPP
";

/// The pools that need neither Java nor a build of their own.
const QUICK: [&str; 2] = ["psycopg-pool", "node-pg"];

/// One line of the table.
struct Row {
    pool: &'static str,
    /// The verdicts that are right, per fault and check.
    expected: Vec<Vec<Vec<char>>>,
}

fn rows() -> Vec<Row> {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let headings: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(headings[1..], FAULTS);
    let rows = lines.map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let expected: Vec<_> = words[1..].iter().map(|cell| cells(cell)).collect();
        assert_eq!(expected.len(), FAULTS.len(), "{line}");
        let pool = words[0];
        Row { pool, expected }
    });
    rows.collect()
}

/// `P[FI]` is a pass, and then a failure or an inconclusive verdict.
fn cells(text: &str) -> Vec<Vec<char>> {
    let mut cells = Vec::new();
    let mut rest = text.chars();
    while let Some(letter) = rest.next() {
        cells.push(match letter {
            '[' => rest.by_ref().take_while(|letter| *letter != ']').collect(),
            letter => vec![letter],
        });
    }
    assert_eq!(cells.len(), CHECKS.len(), "{text}");
    cells
}

/// The program of a pool's server with its first arguments, if it is installed.
fn command(pool: &str) -> Option<Vec<String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let installed = root.join("target/pools");
    let source = |path: &str| root.join("tests/pools").join(path);
    let python = installed.join("python/bin/python");
    let jars = ["HikariCP", "postgresql", "slf4j-api", "slf4j-simple"];
    let jars = jars.map(|jar| format!("/usr/share/java/{jar}.jar"));
    let (needed, words) = match pool {
        "psycopg-pool" | "sqlalchemy" => {
            (python.clone(), vec![python, source("python/threaded.py")])
        }
        "asyncpg" => (
            python.clone(),
            vec![python, source("python/asynchronous.py")],
        ),
        "node-pg" => {
            let modules = installed.join("node/node_modules");
            let setting = format!("NODE_PATH={}", modules.display());
            let words = vec!["env".into(), setting.into(), "node".into()];
            (modules, [words, vec![source("node/server.js")]].concat())
        }
        "hikaricp" => {
            let classes = installed.join("java");
            let path = format!("{}:{}", classes.display(), jars.join(":"));
            let words = ["java", "-cp", &path, "Server"].map(Into::into);
            (classes.join("Server.class"), words.to_vec())
        }
        _ => {
            let program = installed.join("rust/debug/pools");
            (program.clone(), vec![program])
        }
    };
    let text = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
    let words = words.into_iter().map(text).chain([pool.to_owned()]);
    needed.exists().then(|| words.collect())
}

fn scenario(pools: &[(&str, Vec<String>)]) -> String {
    let read = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/pools")
            .join(name);
        fs::read_to_string(path).unwrap()
    };
    let (mut text, each) = (read("head.toml"), read("pool.toml"));
    for (pool, command) in pools {
        let command: Vec<_> = command.iter().map(|word| format!("{word:?}")).collect();
        let block = each.replace("POOL", pool);
        text.push_str(&block.replace("COMMAND", &command.join(", ")));
    }
    text
}

/// Runs these pools and gives the cells that are not as the table says, with their summaries.
fn wrong(rows: &[Row], excused: impl Fn(&str) -> bool) -> String {
    let pools: Vec<_> = rows
        .iter()
        .filter_map(|row| Some((row.pool, command(row.pool)?)))
        .collect();
    for row in rows {
        if pools.iter().all(|(pool, _)| *pool != row.pool) {
            let required =
                std::env::var("CHAOSPROXY_REQUIRE_POOLS").is_ok_and(|value| value == "1");
            let why = format!("{} is not installed (scripts/install-pools)", row.pool);
            assert!(!required, "{why}");
            tell(&format!("skipped: {why}"));
        }
    }
    let can_count = can_count_refusals();
    let mut wrong = String::new();
    if pools.is_empty() {
        return wrong;
    }
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(&scenario(&pools)));
    let (verdicts, summaries) = (finished.verdicts(), finished.summaries());
    let cells = pools.len() * FAULTS.len() * CHECKS.len();
    assert_eq!(
        verdicts.len(),
        cells,
        "{}{}",
        finished.stdout,
        finished.stderr
    );
    for row in rows
        .iter()
        .filter(|row| pools.iter().any(|(pool, _)| *pool == row.pool))
    {
        for (fault, expected) in FAULTS.iter().zip(&row.expected) {
            for (check, expected) in CHECKS.iter().zip(expected) {
                let name = format!("{}-{fault}-{check}", row.pool);
                let letter = match verdicts[&name].as_str() {
                    "pass" => 'P',
                    "fail" => 'F',
                    _ => 'I',
                };
                let summary = &summaries[&name];
                let uncounted = letter == 'I' && summary.contains("could not be counted");
                let excused = |summary: &str| excused(summary) || uncounted && !can_count;
                if !(expected.contains(&letter) || letter == 'I' && excused(summary)) {
                    writeln!(
                        wrong,
                        "{name}: expected {expected:?}, found {letter}: {summary}"
                    )
                    .unwrap();
                }
            }
        }
    }
    let survivors = bench.survivors();
    assert!(survivors.is_empty(), "left behind: {survivors:?}");
    wrong
}

/// Whether this user may look at the clients that a shut port refuses.
fn can_count_refusals() -> bool {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _inside = runtime.enter();
    Strangers::at((Ipv4Addr::LOCALHOST, 1).into()).is_ok()
}

#[test]
fn the_table_has_every_pool_fault_and_check() {
    let rows = rows();
    assert_eq!(rows.len(), 8);
    let text = scenario(&[("bb8", vec!["a".to_owned()])]);
    for name in FAULTS
        .iter()
        .flat_map(|fault| CHECKS.map(|check| format!("bb8-{fault}-{check}")))
    {
        assert_eq!(text.matches(&format!("\"{name}\"")).count(), 1, "{name}");
    }
}

#[test]
fn two_real_pools_are_judged_as_the_table_says() {
    if postgres_is_missing() {
        return;
    }
    let mut rows = rows();
    rows.retain(|row| QUICK.contains(&row.pool));
    assert_eq!(rows.len(), QUICK.len());
    // What else runs may take the time that a verdict needs.
    let busy = |summary: &str| summary.contains("the machine was ");
    let mut found = wrong(&rows, busy);
    if !found.is_empty() {
        found = wrong(&rows, busy);
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
#[ignore = "measures: it must have the machine for itself, so `make test-long` runs it alone"]
fn every_real_pool_is_judged_as_the_table_says() {
    if postgres_is_missing() {
        return;
    }
    for round in 1..=3 {
        let found = wrong(&rows(), |_| false);
        assert!(found.is_empty(), "round {round}:\n{found}");
    }
}
