//! The same through `chaosproxy run`: faults before the start, interruptions, and the guard.

use std::path::Path;
use std::time::Duration;

use chaosproxy::event::{Edge, Event, Fact, Journal, ServiceChange};
use chaosproxy::lab::postgres::Places;
use chaosproxy::sys::process::unprivileged_account;
use nix::sys::signal::Signal;

use crate::support::postgres_is_there;
use crate::support::processes::eventually;
use crate::support::program::Bench;

/// Everything that the guard has to do is done this soon.
const SOON: Duration = Duration::from_secs(10);

fn journal(bench: &Bench) -> Vec<Event> {
    let journal = Journal::read(&bench.report_dir().join("journal.jsonl"));
    journal.unwrap().events
}

#[test]
fn a_reference_server_meets_a_seized_port_and_its_neighbour_stays_healthy() {
    let text = r#"
[scenario]
title    = "a port that is taken at the start"
duration = "1s"

[[service]]
name    = "unlucky"
url     = "http://127.0.0.1:0"
command = ["chaosproxy", "demo", "embeddings", "--listen", "{{service.unlucky.address}}"]
ready   = "/health"
expect  = "exit"

[[service]]
name    = "neighbour"
url     = "http://127.0.0.1:0"
command = ["chaosproxy", "demo", "embeddings", "--listen", "{{service.neighbour.address}}"]
ready   = "/health"

[[probe]]
name = "neighbour-health"
http = { service = "neighbour", path = "/health" }

[[probe]]
name  = "unlucky-health"
http  = { service = "unlucky", path = "/health" }

[steady_state]
window  = "500ms"
require = ["neighbour-health.error_rate == 0%"]

[[fault]]
name   = "port-taken"
type   = "port_seizure"
target = "unlucky"
mode   = "close"
at     = "before-start"
for    = "500ms"
"#;
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(text));
    let events = journal(&bench);
    let position = |wanted: &dyn Fn(&Fact) -> bool| {
        let found = events.iter().position(|event| wanted(&event.fact));
        found.unwrap_or_else(|| panic!("{}\n{events:#?}", finished.stderr))
    };
    let change = |name: &'static str, wanted: ServiceChange| move |fact: &Fact| matches!(fact, Fact::Service { service, change } if **service == *name && *change == wanted);
    let failed = ServiceChange::Exited("exit code 1".to_owned());
    let said =
        |fact: &Fact| matches!(fact, Fact::Log { line, .. } if line.contains("already in use"));
    let edge =
        |wanted| move |fact: &Fact| matches!(fact, Fact::FaultEdge { edge, .. } if *edge == wanted);
    let started = |fact: &Fact| {
        let started = |change: &ServiceChange| matches!(change, ServiceChange::Started(_));
        matches!(fact, Fact::Service { change, .. } if started(change))
    };
    assert!(position(&edge(Edge::Inject)) < position(&started));
    position(&said);
    assert!(position(&change("unlucky", failed)) < position(&edge(Edge::Lift)));
    position(&change("neighbour", ServiceChange::Ready));
    position(&|fact| matches!(fact, Fact::FaultHit { proxy, .. } if &**proxy == "unlucky"));
    let samples = events.iter().filter_map(|event| match &event.fact {
        Fact::Sample(sample) if &*sample.source == "neighbour-health" => Some(sample),
        _ => None,
    });
    let samples: Vec<_> = samples.collect();
    assert!(samples.len() >= 10, "{}", samples.len());
    assert!(samples.iter().all(|sample| sample.outcome.is_ok()));
    assert_eq!(bench.survivors(), Vec::<u32>::new());
}

/// A server that chaosproxy does not know, judged as any other: what it says, how it ends.
#[tokio::test]
async fn postgresql_itself_meets_a_seized_port_and_is_judged() {
    if !postgres_is_there().await {
        return;
    }
    let programs = Places::of_this_machine().find().await.unwrap();
    let programs = programs.display();
    let data = tempfile::tempdir().unwrap();
    let mut as_somebody = String::new();
    if let Some(account) = unprivileged_account().unwrap() {
        std::os::unix::fs::chown(data.path(), Some(account.uid), Some(account.gid)).unwrap();
        // PostgreSQL refuses to run as root.
        as_somebody = r#""runuser", "-u", "postgres", "--", "#.to_owned();
    }
    let text = format!(
        r#"
[scenario]
title    = "PostgreSQL finds its port taken"
duration = "3s"

[[service]]
name    = "pg"
url     = "http://127.0.0.1:0"
command = [
  {as_somebody}"sh", "-c",
  "{programs}/initdb -D $0/data -N --auth=trust > $0/log && exec {programs}/postgres -D $0/data -k '' -h 127.0.0.1 -p $${{1##*:}}",
  "{data}", "{{{{service.pg.address}}}}",
]
ready   = "/"
expect  = "exit"

[[fault]]
name   = "port-taken"
type   = "port_seizure"
target = "pg"
mode   = "silent"
at     = "before-start"
for    = "2s"

[[check]]
name    = "conflict-is-explained"
type    = "exit"
service = "pg"
fault   = "port-taken"
code    = 1
text    = ['could not bind IPv4 address "127.0.0.1": Address already in use']
within  = "30s"
"#,
        data = data.path().display()
    );
    let bench = Bench::new();
    let finished = bench.run(&bench.scenario(&text));
    assert_eq!(finished.code, Some(0), "{}", finished.stdout);
    assert_eq!(finished.verdicts()["conflict-is-explained"], "pass");
    assert_eq!(bench.survivors(), Vec::<u32>::new());
}

/// A service that is stopped, and a command with an undo, both for longer than the test takes; the
/// service says in the file `ended` that it could still end by itself. Its own words go nowhere:
/// with the run gone, nobody would read them.
fn standstill(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"
[scenario]
title    = "a service stands still"
duration = "60s"

[[service]]
name    = "still"
url     = "http://127.0.0.1:0"
command = [
  "sh", "-c",
  "exec 2> /dev/null; trap 'touch {folder}/ended; kill $!; exit 0' TERM; \"$0\" demo embeddings --listen $1 & while :; do sleep 0.02; done",
  "{exe}", "{{{{service.still.address}}}}",
]
ready   = "/health"

[steady_state]
window = "100ms"

[[fault]]
name   = "command-in-force"
type   = "command"
run    = ["touch", "{folder}/blocked"]
undo   = ["rm", "{folder}/blocked"]
at     = "0s"
for    = "50s"

[[fault]]
name   = "standing-still"
type   = "process"
action = "stop"
target = "still"
at     = "10ms"
for    = "50s"
"#,
        exe = crate::support::exe().display()
    )
}

/// Interrupts a run in which a service is stopped and a command is in force.
async fn is_undone_after(signal: Signal, code: Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("blocked");
    let bench = Bench::new();
    let mut run = bench.start(&bench.scenario(&standstill(folder.path())));
    run.wait_for("standing-still");
    assert!(eventually(SOON, || blocked.exists()).await);
    let stopped = || {
        let states = bench
            .survivors()
            .into_iter()
            .map(|pid| std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default());
        states
            .filter(|status| status.contains("T (stopped)"))
            .count()
    };
    assert!(eventually(SOON, || stopped() >= 2).await);
    run.signal(signal);
    assert_eq!(run.wait(), code);
    assert!(eventually(SOON, || bench.survivors().is_empty()).await);
    assert!(folder.path().join("ended").exists());
    assert!(!blocked.exists());
}

#[tokio::test]
async fn an_interrupted_run_continues_what_it_stopped_and_undoes_its_command() {
    is_undone_after(Signal::SIGINT, Some(130)).await;
}

#[tokio::test]
async fn the_guard_of_a_killed_run_continues_what_was_stopped_and_undoes_the_command() {
    is_undone_after(Signal::SIGKILL, None).await;
}

/// Interrupts a run whose command is not done: it is ended, and undone.
async fn is_ended_and_undone_after(signal: Signal, code: Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let (blocked, done) = (folder.path().join("blocked"), folder.path().join("done"));
    let text = format!(
        r#"
[scenario]
title    = "a command takes its time"
duration = "60s"

[[fault]]
name    = "half-done"
type    = "command"
run     = ["sh", "-c", "touch {blocked}; sleep 30; touch {done}"]
undo    = ["rm", "{blocked}"]
timeout = "60s"
at      = "0s"
for     = "50s"
"#,
        blocked = blocked.display(),
        done = done.display()
    );
    let bench = Bench::new();
    let mut run = bench.start(&bench.scenario(&text));
    run.wait_for("half-done");
    assert!(eventually(SOON, || blocked.exists()).await);
    run.signal(signal);
    assert_eq!(run.wait(), code);
    assert!(eventually(SOON, || bench.survivors().is_empty()).await);
    assert!(!blocked.exists());
    assert!(!done.exists(), "the command was waited for");
}

#[tokio::test]
async fn an_interrupted_run_does_not_wait_for_a_command_that_is_not_done() {
    is_ended_and_undone_after(Signal::SIGINT, Some(130)).await;
}

#[tokio::test]
async fn the_guard_undoes_a_command_that_was_not_done_when_the_run_was_killed() {
    is_ended_and_undone_after(Signal::SIGKILL, None).await;
}
