//! `chaosproxy run` from outside: verdicts, interruptions, mistakes, and what is left behind.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use chaosproxy::event::{Edge, Fact, Journal};
use chaosproxy::units::Clock;
use nix::sys::signal::Signal;

use crate::support::program::Bench;
use crate::support::{bound, postgres_is_missing, processes, temp_of_a_copy};

fn tenfold() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/db-partition-tenfold.toml")
}

/// Waits until nothing of the run is left; gives how long that took.
fn wait_until_gone(survivors: impl Fn() -> Vec<u32>) -> Duration {
    let clock = Clock::start();
    loop {
        let survivors = survivors();
        let waited = clock.now().since(chaosproxy::units::Moment::ZERO);
        if survivors.is_empty() {
            return waited;
        }
        assert!(
            waited < Duration::from_secs(20),
            "left behind: {survivors:#?}"
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_killed_run_leaves_nothing_behind_within_5_s() {
    if postgres_is_missing() {
        return;
    }
    let bench = Bench::new();
    let mut run = bench.start(&tenfold());
    run.wait_for("silent-loss");
    assert!(bench.survivors().len() >= 5, "{:?}", bench.survivors());
    run.signal(Signal::SIGKILL);
    assert_eq!(run.wait(), None);
    let took = wait_until_gone(|| bench.survivors());
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    let journal = Journal::read(&bench.report_dir().join("journal.jsonl")).unwrap();
    let mut events = journal.events.iter();
    assert!(
        events.any(|event| is_injection(&event.fact)),
        "what was shown is journalled"
    );
}

/// Set in the environment of a copy of this binary whose test is killed.
const PLAY_TEST: &str = "CHAOSPROXY_TEST_PLAY_TEST";

#[test]
fn what_tests_started_ends_with_them_however_they_end() {
    if postgres_is_missing() {
        return;
    }
    let temp = temp_of_a_copy();
    let left = || processes::with(&temp.path().display().to_string());
    let mut tests = bound(std::env::current_exe().unwrap())
        .args(["--exact", "run::play_a_test_that_is_killed", "--nocapture"])
        .env(PLAY_TEST, "")
        .env("TMPDIR", temp.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(tests.stdout.take().unwrap()).lines();
    assert!(said.any(|line| line.unwrap().contains("under way")));
    // The copy, its run, the guard, two servers, two clusters.
    let started = left();
    assert!(started.len() >= 7, "{started:?}");
    tests.kill().unwrap();
    tests.wait().unwrap();
    let took = wait_until_gone(left);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
}

/// The test of the test above; by itself it does nothing.
#[test]
fn play_a_test_that_is_killed() {
    if std::env::var_os(PLAY_TEST).is_none() {
        return;
    }
    let bench = Bench::new();
    let mut run = bench.start(&tenfold());
    run.wait_for("silent-loss");
    println!("under way");
    run.wait();
}

fn is_injection(fact: &Fact) -> bool {
    matches!(
        fact,
        Fact::FaultEdge {
            edge: Edge::Inject,
            ..
        }
    )
}

#[test]
fn an_interrupted_run_heals_says_130_and_leaves_nothing_behind() {
    if postgres_is_missing() {
        return;
    }
    let bench = Bench::new();
    let mut run = bench.start(&tenfold());
    run.wait_for("silent-loss");
    run.signal(Signal::SIGINT);
    assert_eq!(run.wait(), Some(130));
    assert_eq!(bench.survivors(), Vec::<u32>::new());

    let journal = Journal::read(&bench.report_dir().join("journal.jsonl")).unwrap();
    let injection = journal
        .events
        .iter()
        .position(|event| is_injection(&event.fact));
    let healed = journal
        .events
        .iter()
        .position(|event| event.fact == Fact::HealedAll);
    assert!(injection.unwrap() < healed.unwrap());
    let interrupted = Fact::Interrupted {
        signal: "SIGINT".into(),
    };
    assert!(journal.events.iter().any(|event| event.fact == interrupted));
}

#[test]
fn a_run_whose_terminal_goes_away_heals_and_says_129_but_goes_on_under_nohup() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap();
    let text = format!(
        r#"
[scenario]
title    = "a proxy"
duration = "1s"

[[proxy]]
name     = "edge"
upstream = "{address}"

[steady_state]
window = "100ms"
"#
    );
    // The tests themselves may run under `nohup`, which a shell cannot undo.
    let heard = "exec env --default-signal=HUP \"$@\"";
    let ignored = "trap '' HUP; exec \"$@\"";
    for (through, code) in [(heard, 129), (ignored, 0)] {
        let bench = Bench::new();
        let mut run = bench.start_through(through, &bench.scenario(&text));
        run.wait_for("time zero");
        run.signal(Signal::SIGHUP);
        assert_eq!(run.wait(), Some(code), "{through}");
        assert_eq!(bench.survivors(), Vec::<u32>::new());
        let journal = Journal::read(&bench.report_dir().join("journal.jsonl")).unwrap();
        let mut events = journal.events.iter();
        assert!(events.any(|event| event.fact == Fact::HealedAll));
    }
}

#[test]
fn a_busy_port_of_a_proxy_is_named_with_the_remedy_and_nothing_is_injected() {
    if postgres_is_missing() {
        return;
    }
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = fs::read_to_string(tenfold()).unwrap();
    let text = text.replacen("127.0.0.1:0", &address, 1);
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(&text));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    let expected = format!("{address} is already in use");
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
    assert!(finished.stderr.contains("listen"), "{}", finished.stderr);
    assert_eq!(bench.survivors(), Vec::<u32>::new());
}

#[test]
fn a_mistake_in_the_file_is_underlined_and_nothing_is_started() {
    let text = fs::read_to_string(tenfold()).unwrap();
    let text = text.replacen("target  = \"codebase-db\"", "target  = \"codebase-bd\"", 1);
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(&text));
    assert_eq!(finished.code, Some(2));
    assert!(
        finished.stderr.contains("codebase-bd"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("`codebase-db`"),
        "{}",
        finished.stderr
    );
    assert!(!bench.report_dir().exists());
}

#[test]
fn a_database_that_cannot_be_reached_is_named_and_nothing_is_injected() {
    let text = r#"
[scenario]
title    = "a database that is not there"
duration = "1s"

[[database]]
name  = "gone"
url   = "postgres://nobody@127.0.0.1:1/gone"
setup = ["SELECT 1"]
"#;
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(text));
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert!(finished.stderr.contains("`gone`"), "{}", finished.stderr);
    assert!(
        finished.stderr.contains("Connection refused"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_proxy_may_stand_before_a_service() {
    let text = r#"
[scenario]
title    = "between two services"
duration = "1s"

[[proxy]]
name     = "path"
upstream = "{{service.embeddings.address}}"

[[service]]
name    = "embeddings"
url     = "http://127.0.0.1:0"
command = ["chaosproxy", "demo", "embeddings", "--listen", "{{service.embeddings.address}}"]
ready   = "/health"

[steady_state]
window = "100ms"

[[fault]]
name   = "hanging"
type   = "partition"
target = "path"
at     = "0s"
for    = "100ms"
"#;
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(text));
    assert_eq!(finished.code, Some(0), "{}", finished.stderr);
}
