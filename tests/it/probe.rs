//! Probes against servers that really do, or fail to do, what is asked of them.

use std::sync::Arc;
use std::time::Duration;

use chaosproxy::event::{Fact, Outcome, bus};
use chaosproxy::lab::Lab;
use chaosproxy::lab::spec::{DatabaseSpec, Origin};
use chaosproxy::probe;
use chaosproxy::probe::Programs;
use chaosproxy::probe::spec::{MetricOk, ProbeKind, ProbeSpec};
use chaosproxy::run::LabPrograms;
use chaosproxy::template::Template;
use chaosproxy::units::Clock;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::load::server::{Reaction, Server};
use crate::support::programs::no_programs;
use crate::support::{exe, postgres_is_there, processes};

/// The first observation of a probe whose placeholder stands for `target`.
async fn look(kind: ProbeKind, target: &str) -> Outcome {
    look_for(Duration::from_millis(500), &no_programs(), kind, target).await
}

/// The same, with time to start a process on a busy machine.
async fn run(programs: &Arc<dyn Programs>, kind: ProbeKind) -> Outcome {
    look_for(Duration::from_secs(20), programs, kind, "word").await
}

async fn look_for(
    timeout: Duration,
    programs: &Arc<dyn Programs>,
    kind: ProbeKind,
    target: &str,
) -> Outcome {
    let spec = ProbeSpec {
        name: "it".into(),
        kind,
        every: Duration::from_secs(3600),
        timeout,
    };
    let (recorder, mut stream) = bus(Clock::start());
    let stop = CancellationToken::new();
    let lookup = |_: &str| Some(target.to_owned());
    let handle = probe::start(&spec, lookup, programs, 0, recorder, stop.clone()).unwrap();
    let outcome = loop {
        if let Fact::Sample(sample) = stream.next().await.unwrap().fact {
            break sample.outcome;
        }
    };
    stop.cancel();
    handle.unwrap().await.unwrap();
    outcome
}

fn is_not_ok(outcome: &Outcome, because: &str) -> bool {
    matches!(outcome, Outcome::NotOk { why, .. } if why.contains(because))
}

/// An address at which nobody listens.
async fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn a_tcp_probe_sees_whether_anybody_listens() {
    let tcp = || ProbeKind::Tcp {
        service: None,
        address: Template::parse("{{service.x.address}}").unwrap(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    assert_eq!(look(tcp(), &address).await, Outcome::Ok { status: None });
    let outcome = look(tcp(), &nowhere().await).await;
    let refused = matches!(&outcome, Outcome::ConnectError { why } if why.contains("refused"));
    assert!(refused, "{outcome:?}");
}

fn sql(query: &str, equals: Option<i64>) -> ProbeKind {
    ProbeKind::Sql {
        url: Template::parse("{{database.x.url}}").unwrap(),
        query: query.into(),
        equals: equals.map(|value| vec![json!(value)]),
    }
}

#[tokio::test]
async fn an_sql_probe_asks_over_a_new_connection_and_holds_the_answer_against_what_is_wanted() {
    if !postgres_is_there().await {
        return;
    }
    let report = tempfile::tempdir().unwrap();
    let (recorder, _stream) = bus(Clock::start());
    let lab = Lab::start(exe(), recorder, report.path()).await.unwrap();
    let spec = DatabaseSpec {
        name: "x".into(),
        origin: Origin::Managed,
        setup: vec!["CREATE TABLE items AS SELECT generate_series(1, 3) AS id".into()],
    };
    let database = lab.database(&spec).await.unwrap();
    let url = &database.url;
    let count = "SELECT count(*) FROM items";
    assert_eq!(
        look(sql(count, Some(3)), url).await,
        Outcome::Ok { status: None }
    );
    assert_eq!(
        look(sql(count, None), url).await,
        Outcome::Ok { status: None }
    );
    let outcome = look(sql(count, Some(4)), url).await;
    assert!(is_not_ok(&outcome, "[3], expected [4]"), "{outcome:?}");
    let outcome = look(sql("SELECT 1 FROM missing", None), url).await;
    assert!(is_not_ok(&outcome, "does not exist"), "{outcome:?}");
    assert_eq!(
        look(sql("SELECT pg_sleep(5)", None), url).await,
        Outcome::Timeout
    );
    lab.shutdown().await.unwrap();
}

#[tokio::test]
async fn an_sql_probe_tells_a_server_that_is_gone_from_one_that_is_silent() {
    let gone = format!("postgres://u@{}/d", nowhere().await);
    let outcome = look(sql("SELECT 1", None), &gone).await;
    assert!(
        matches!(outcome, Outcome::ConnectError { .. }),
        "{outcome:?}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("postgres://u@{}/d", listener.local_addr().unwrap());
    assert_eq!(look(sql("SELECT 1", None), &silent).await, Outcome::Timeout);
}

fn used_below(limit: f64) -> ProbeKind {
    ProbeKind::Prometheus {
        service: "x".into(),
        path: "/metrics".into(),
        metric: "pool_connections".into(),
        labels: [("state".to_owned(), "used".to_owned())].into(),
        ok: MetricOk {
            below: Some(limit),
            above: None,
        },
    }
}

#[tokio::test]
async fn a_prometheus_probe_holds_a_metric_against_its_bounds() {
    let page = "pool_connections{state=\"used\"} 7\npool_connections{state=\"idle\"} 13\n";
    let server = Server::start(move |_, request| {
        assert!(
            request.line.starts_with("GET /metrics "),
            "{}",
            request.line
        );
        Reaction::Answer(200, page.into())
    })
    .await;
    let url = server.url();
    assert_eq!(
        look(used_below(8.0), &url).await,
        Outcome::Ok { status: Some(200) }
    );
    let outcome = look(used_below(7.0), &url).await;
    assert!(
        is_not_ok(&outcome, "`pool_connections` is 7, expected below 7"),
        "{outcome:?}"
    );
    for (reaction, why) in [
        (Reaction::Answer(503, page.into()), "status 503"),
        (
            Reaction::Answer(200, "nothing 1\n".into()),
            "no `pool_connections`",
        ),
    ] {
        let server = Server::start(move |_, _| reaction.clone()).await;
        let outcome = look(used_below(8.0), &server.url()).await;
        assert!(is_not_ok(&outcome, why), "{outcome:?}");
    }
    // What stands behind the part that is read may be otherwise.
    let long = format!("{page}{}", "filler 1\n".repeat(500_000));
    let server = Server::start(move |_, _| Reaction::Answer(200, long.clone())).await;
    let outcome = look(used_below(8.0), &server.url()).await;
    let too_long =
        matches!(&outcome, Outcome::Broken { why } if why.contains("no more than 4 MiB"));
    assert!(too_long, "{outcome:?}");
    let server = Server::start(|_, _| Reaction::Silence).await;
    assert_eq!(look(used_below(8.0), &server.url()).await, Outcome::Timeout);
}

/// A command of a shell that must end with `exit` and print a number below 10, if any.
fn command(script: &str, exit: i32, below: Option<f64>) -> ProbeKind {
    let words = ["/bin/sh", "-c", script];
    ProbeKind::Command {
        run: words.map(|word| Template::parse(word).unwrap()).into(),
        exit,
        value: None,
        bounds: MetricOk { below, above: None },
        json: [].into(),
    }
}

/// A lab, and what runs commands in it.
async fn lab(report: &tempfile::TempDir) -> (Arc<Lab>, Arc<dyn Programs>) {
    let (recorder, _stream) = bus(Clock::start());
    let lab = Lab::start(exe(), recorder, report.path()).await.unwrap();
    let lab = Arc::new(lab);
    (Arc::clone(&lab), Arc::new(LabPrograms(lab)))
}

#[tokio::test]
async fn a_command_probe_holds_exit_code_and_number_against_what_is_wanted() {
    let report = tempfile::tempdir().unwrap();
    let (lab, programs) = lab(&report).await;
    let ask = |kind| run(&programs, kind);
    let ok = Outcome::Ok { status: None };
    assert_eq!(ask(command("echo 3 {{x}} >&2", 0, None)).await, ok);
    assert_eq!(ask(command("echo 9.5", 0, Some(10.0))).await, ok);
    assert_eq!(ask(command("test {{x}} = other", 1, None)).await, ok);
    let outcome = ask(command("echo 10", 0, Some(10.0))).await;
    assert!(
        is_not_ok(&outcome, "`number` is 10, expected below 10"),
        "{outcome:?}"
    );
    let outcome = ask(command("echo no {{x}} >&2; exit 2", 0, None)).await;
    assert!(
        is_not_ok(&outcome, "exit code 2, expected 0: no word"),
        "{outcome:?}"
    );
    let mut missing = command("", 0, None);
    if let ProbeKind::Command { run, .. } = &mut missing {
        *run = vec![Template::parse("/no/such/program").unwrap()];
    }
    let outcome = ask(missing).await;
    assert!(
        is_not_ok(&outcome, "cannot start `/no/such/program`"),
        "{outcome:?}"
    );
    // What never stops printing is ended by its closed pipe, or at the deadline.
    let outcome = ask(command("exec yes", 0, None)).await;
    assert!(!outcome.is_ok(), "{outcome:?}");
    let left = std::fs::read_dir(lab.directory()).unwrap();
    assert_eq!(
        left.filter(|entry| entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .starts_with("output."))
            .count(),
        0
    );
    lab.shutdown().await.unwrap();
}

#[tokio::test]
async fn what_a_command_leaves_behind_keeps_nobody_waiting() {
    let report = tempfile::tempdir().unwrap();
    let (lab, programs) = lab(&report).await;
    let mark = uuid::Uuid::new_v4().to_string();
    let stray = format!("CHAOSPROXY_TEST_MARK={mark} sleep 1000");
    let ok = Outcome::Ok { status: None };
    let script = format!("{stray} & echo 5");
    let outcome = run(&programs, command(&script, 0, Some(10.0))).await;
    assert_eq!(outcome, ok);
    let none_is_left = || processes::with(&mark).is_empty();
    assert!(processes::eventually(Duration::from_secs(20), none_is_left).await);
    // One that leaves the process group is left to the guard.
    let script = format!("setsid env {stray} & echo 5");
    let outcome = run(&programs, command(&script, 0, Some(10.0))).await;
    assert_eq!(outcome, ok);
    lab.shutdown().await.unwrap();
    assert!(none_is_left());
}

#[tokio::test]
async fn commands_never_pile_up_and_none_is_left() {
    let report = tempfile::tempdir().unwrap();
    let (lab, programs) = lab(&report).await;
    let mark = uuid::Uuid::new_v4().to_string();
    let script = format!("CHAOSPROXY_TEST_MARK={mark} exec sleep 1000");
    let spec = ProbeSpec {
        name: "it".into(),
        kind: command(&script, 0, None),
        every: Duration::from_millis(20),
        timeout: Duration::from_millis(200),
    };
    let (recorder, mut stream) = bus(Clock::start());
    let stop = CancellationToken::new();
    let handle = probe::start(&spec, |_| None, &programs, 0, recorder, stop.clone()).unwrap();
    let one_runs = || processes::with(&mark).len() == 1;
    assert!(processes::eventually(Duration::from_secs(20), one_runs).await);
    let mut most = 0;
    for _ in 0..30 {
        let event = stream.next().await.unwrap();
        let timed_out =
            matches!(&event.fact, Fact::Sample(sample) if sample.outcome == Outcome::Timeout);
        assert!(timed_out, "{event:?}");
        most = most.max(processes::with(&mark).len());
    }
    stop.cancel();
    handle.unwrap().await.unwrap();
    assert!(most <= 1, "{most} at once");
    assert_eq!(processes::with(&mark), Vec::<u32>::new());
    lab.shutdown().await.unwrap();
}
