//! Servers and databases that end, stop and come back; commands and their undo.

use std::fs;
use std::time::Duration;

use chaosproxy::action::{Action, Injection};
use chaosproxy::event::{Fact, ServiceChange};
use chaosproxy::fault::Scope;
use chaosproxy::lab::spec::{DatabaseSpec, Origin};
use serde_json::json;

use super::Bench;
use crate::support::postgres_is_there;
use crate::support::processes::eventually;
use crate::support::rig::patiently;

/// Long enough for everything here to happen.
const SOON: Duration = Duration::from_secs(10);

/// The state of a process in one letter: `T` is stopped.
fn state(pid: u32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    fields.chars().next().unwrap()
}

#[tokio::test]
async fn killed_services_come_back_together_and_their_logs_go_on() {
    let mut bench = Bench::new().await;
    for name in ["one", "two"] {
        bench.start_server(name).await;
    }
    let pids = ["one", "two"].map(|name| bench.lab.process(name).unwrap().unwrap().pid());
    assert_eq!(bench.hits(), Vec::<String>::new());
    let kill = json!({ "action": "kill" });
    bench.inject("process", kill, &["one", "two"]).await;
    let mut hits = Vec::new();
    let mut killed = 0;
    while killed < 2 {
        bench
            .fact(|fact| match fact {
                Fact::FaultHit { proxy, .. } => {
                    hits.push(proxy.to_string());
                    Some(())
                }
                Fact::Service { change, .. } => {
                    let expected = ServiceChange::Exited("signal SIGKILL".to_owned());
                    assert_eq!(*change, expected);
                    killed += 1;
                    Some(())
                }
                _ => None,
            })
            .await;
    }
    assert_eq!(hits, ["one", "two"]);
    bench.lift("process").await;
    let mut ready = 0;
    while ready < 2 {
        bench
            .fact(|fact| match fact {
                Fact::Service { change, .. } if *change == ServiceChange::Ready => Some(()),
                _ => None,
            })
            .await;
        ready += 1;
    }
    for (name, old) in ["one", "two"].into_iter().zip(pids) {
        assert_ne!(bench.lab.process(name).unwrap().unwrap().pid(), old);
        let log = bench.report.path().join(format!("logs/{name}.log"));
        let log = fs::read_to_string(log).unwrap();
        assert_eq!(log.matches("listening on").count(), 2, "{log}");
    }
    bench.shutdown().await;
}

#[tokio::test]
async fn restarted_services_end_by_themselves_and_come_back() {
    let mut bench = Bench::new().await;
    for name in ["one", "two"] {
        bench.start_server(name).await;
    }
    let pids = ["one", "two"].map(|name| bench.lab.process(name).unwrap().unwrap().pid());
    bench.hits();
    let restart = json!({ "action": "restart", "down_for": "1s" });
    bench.inject("process", restart, &["one", "two"]).await;
    bench.lift("process").await;
    let mut lives: Vec<String> = Vec::new();
    while lives.iter().filter(|life| life.ends_with("ready")).count() < 2 {
        let life = bench.fact(|fact| match fact {
            Fact::Service { service, change } => Some(match change {
                ServiceChange::Exited(how) => {
                    assert_ne!(how, "signal SIGKILL", "{service}");
                    format!("{service} ended")
                }
                ServiceChange::Started(_) => format!("{service} started"),
                ServiceChange::Ready => format!("{service} ready"),
                ServiceChange::Watched => return None,
            }),
            _ => None,
        });
        lives.push(life.await);
    }
    for (name, old) in ["one", "two"].into_iter().zip(pids) {
        let own: Vec<_> = lives.iter().filter(|life| life.starts_with(name)).collect();
        let order = ["ended", "started", "ready"].map(|what| format!("{name} {what}"));
        assert_eq!(own, order.iter().collect::<Vec<_>>());
        assert_ne!(bench.lab.process(name).unwrap().unwrap().pid(), old);
    }
    bench.shutdown().await;
}

#[tokio::test]
async fn a_slow_lift_keeps_only_its_own_fault_waiting_and_healing_begins_nothing() {
    let mut bench = Bench::new().await;
    bench.declare("x", &[]);
    let file = |name: &str| bench.report.path().join(name);
    let (go, again) = (file("go"), file("again"));
    let wait = format!("until [ -e '{}' ]; do sleep 0.01; done", go.display());
    let slow = json!({ "run": ["true"], "undo": ["sh", "-c", wait] });
    bench.inject("command", slow, &[]).await;
    let fault = || "command".into();
    let lift = Action::Lift { fault: fault() };
    let lift = bench.engine.submit(lift).await.unwrap();
    let second = Injection {
        fault: fault(),
        occurrence: 1,
        kind: "command".to_owned(),
        params: json!({ "run": ["touch", again.to_str().unwrap()] }),
        targets: Vec::new(),
        scope: Scope::default(),
    };
    let second = bench.engine.submit(Action::Inject(second)).await.unwrap();

    // Both wait for the undo; whoever asks for something else is served.
    bench.inject("port_seizure", json!({}), &["x"]).await;
    bench.lift("port_seizure").await;
    let heal = bench.engine.submit(Action::HealAll).await.unwrap();
    assert!(!again.exists());
    fs::write(&go, "").unwrap();
    for pending in [lift, second, heal] {
        patiently(pending.done()).await.unwrap();
    }
    assert!(!again.exists(), "what waited was begun when all was healed");
    let never = |fact: &Fact| match fact {
        Fact::FaultFailed { why, .. } => Some(why.contains("healed before it began")),
        _ => None,
    };
    assert!(bench.fact(never).await);
    let lift = Action::Lift { fault: fault() };
    let error = bench.engine.apply(lift).await.unwrap_err().to_string();
    assert_eq!(error, "no fault named `command` is in force");
    bench.shutdown().await;
}

#[tokio::test]
async fn a_stopped_service_stands_still_until_everything_is_healed() {
    let mut bench = Bench::new().await;
    bench.start_server("x").await;
    let pid = bench.lab.process("x").unwrap().unwrap().pid();
    bench
        .inject("process", json!({ "action": "stop" }), &["x"])
        .await;
    assert!(eventually(SOON, || state(pid) == 'T').await);
    patiently(bench.engine.apply(Action::HealAll))
        .await
        .unwrap();
    assert!(eventually(SOON, || state(pid) != 'T').await);
    assert_eq!(bench.hits(), ["x"]);
    bench.shutdown().await;
}

#[tokio::test]
async fn a_stopped_service_that_is_told_to_end_ends_by_itself() {
    let mut bench = Bench::new().await;
    bench.start_server("x").await;
    let process = bench.lab.process("x").unwrap().unwrap();
    bench
        .inject("process", json!({ "action": "stop" }), &["x"])
        .await;
    assert!(eventually(SOON, || state(process.pid()) == 'T').await);
    process.terminate().await.unwrap();
    let ended = ServiceChange::Exited("exit code 0".to_owned());
    bench.change("x", &ended).await;
    bench.lift("process").await;
    bench.shutdown().await;
}

#[tokio::test]
async fn a_service_that_is_down_is_not_met() {
    let mut bench = Bench::new().await;
    bench.declare("x", &["false"]);
    bench.lab.start_service("x").await.unwrap();
    let failed = ServiceChange::Exited("exit code 1".to_owned());
    bench.change("x", &failed).await;
    bench
        .inject("process", json!({ "action": "kill" }), &["x"])
        .await;
    bench.lift("process").await;
    assert_eq!(bench.hits(), Vec::<String>::new());
    assert!(bench.lab.process("x").unwrap().is_none());
    bench.shutdown().await;
}

#[tokio::test]
async fn a_database_server_comes_back_on_its_port_with_its_data() {
    if !postgres_is_there().await {
        return;
    }
    let mut bench = Bench::new().await;
    let spec = DatabaseSpec {
        name: "db".into(),
        origin: Origin::Managed,
        setup: vec!["CREATE TABLE t AS SELECT 7 AS n".to_owned()],
    };
    let database = bench.lab.database(&spec).await.unwrap();
    for (how, code) in [("fast", Some("57P01")), ("immediate", None)] {
        let (_client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls)
            .await
            .unwrap();
        bench
            .inject("postgres_server", json!({ "how": how }), &["db"])
            .await;
        let error = patiently(connection).await.unwrap_err();
        assert_eq!(
            error.code().map(tokio_postgres::error::SqlState::code),
            code
        );
        assert_eq!(bench.hits(), ["db"]);
        bench.lift("postgres_server").await;
        let ready = |fact: &Fact| match fact {
            Fact::Database { change, .. } => change.starts_with("ready again").then_some(()),
            _ => None,
        };
        bench.fact(ready).await;
        let rows = bench.lab.query("db", "SELECT n FROM t").await.unwrap();
        assert_eq!(rows, [[json!(7)]]);
    }
    bench.shutdown().await;
}

#[tokio::test]
async fn a_command_is_undone_and_one_that_fails_is_reported_and_undone_too() {
    let mut bench = Bench::new().await;
    let file = bench.report.path().join("blocked");
    let path = file.to_str().unwrap().to_owned();
    let undone = bench.report.path().join("undone");
    let undo = format!("rm {path}; echo once >> {}", undone.display());
    let works = json!({ "run": ["touch", path], "undo": ["sh", "-c", undo] });
    bench.inject("command", works, &[]).await;
    assert!(file.exists());
    bench.lift("command").await;
    assert!(!file.exists());
    assert_eq!(bench.hits(), ["command"]);

    let fails = json!({ "run": ["sh", "-c", "echo no luck; exit 3"], "undo": ["touch", path] });
    bench.inject("command", fails, &[]).await;
    bench.lift("command").await;
    assert!(file.exists());
    let message = bench.trouble().await;
    assert!(message.contains("it ended with exit code 3"), "{message}");
    assert!(message.contains("no luck"), "{message}");
    assert_eq!(bench.hits(), Vec::<String>::new());
    patiently(bench.lab.shutdown()).await.unwrap();
    assert_eq!(fs::read_to_string(undone).unwrap(), "once\n");
    bench.shutdown().await;
}

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_and_reported() {
    let mut bench = Bench::new().await;
    let slow = json!({ "run": ["sleep", "1000"], "timeout": "50ms" });
    bench.inject("command", slow, &[]).await;
    let message = bench.trouble().await;
    assert!(message.contains("it took longer than 50ms"), "{message}");
    bench.lift("command").await;
    bench.shutdown().await;
}
