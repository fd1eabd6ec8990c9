//! Workloads and probes against servers that really do what is claimed of them.

mod answers;
pub(crate) mod server;

use std::net::SocketAddr;
use std::time::Duration;

use chaosproxy::event::{Fact, Fate, Outcome, Recorder, Sample, Shortfall, Stream, bus};
use chaosproxy::http::{Call, Client, Target};
use chaosproxy::load::spec::{FateRule, LedgerSpec, RequestSpec, WorkloadKind, WorkloadSpec};
use chaosproxy::load::{self, HttpOk};
use chaosproxy::probe;
use chaosproxy::probe::spec::{ProbeKind, ProbeSpec};
use chaosproxy::template::Template;
use chaosproxy::units::{Clock, Rate};
use hyper::HeaderMap;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::programs::no_programs;

use server::{Reaction, Server};

const SEED: u64 = 7;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn request(method: &str, path: &str, json: Option<Value>) -> RequestSpec {
    RequestSpec {
        method: method.into(),
        path: Template::parse(path).unwrap(),
        headers: Vec::new(),
        json,
    }
}

fn writes(rate: f64, timeout: Duration) -> WorkloadSpec {
    let json = json!({"id": "{{uuid}}", "text": "fn f{{seq}}() {}"});
    WorkloadSpec {
        name: "writes".into(),
        service: "codebase".into(),
        kind: WorkloadKind::Http {
            rate: Rate::per_second(rate).unwrap(),
            timeout,
            request: request("POST", "/chunks", Some(json)),
            ledger: Some("chunks".into()),
            compare: None,
            ok: HttpOk::default(),
        },
    }
}

fn chunks() -> LedgerSpec {
    LedgerSpec {
        name: "chunks".into(),
        key: "id".into(),
        ok: vec![FateRule::Class(2)],
        fail: vec![FateRule::Class(4), FateRule::ConnectError],
        database: "db".into(),
        sql: String::new(),
    }
}

fn job(every: Duration) -> WorkloadSpec {
    WorkloadSpec {
        name: "index".into(),
        service: "codebase".into(),
        kind: WorkloadKind::Job {
            start: request("POST", "/index", Some(json!({"files": 10}))),
            status: request("GET", "/index/{{job.id}}", None),
            done: "$.state == 'completed'".into(),
            progress: Some("$.files_done".into()),
            every,
            timeout: ms(500),
            ok: HttpOk::default(),
        },
    }
}

fn health(every: Duration, timeout: Duration) -> ProbeSpec {
    ProbeSpec {
        name: "health".into(),
        kind: ProbeKind::Http {
            service: "codebase".into(),
            path: "/health".into(),
            ok: HttpOk {
                json: [("$.status".to_owned(), json!("healthy"))].into(),
                ..HttpOk::default()
            },
        },
        every,
        timeout,
    }
}

/// A recorder, what it recorded, and the signal to stop.
fn stage() -> (Recorder, Stream, CancellationToken) {
    let (recorder, stream) = bus(Clock::start());
    (recorder, stream, CancellationToken::new())
}

/// Every fact, once all recorders are gone.
async fn facts(mut stream: Stream) -> Vec<Fact> {
    let mut facts = Vec::new();
    while let Some(event) = stream.next().await {
        facts.push(event.fact);
    }
    facts
}

/// The samples among the facts, in the order of their intended sends.
fn samples(facts: &[Fact]) -> Vec<Sample> {
    let mut samples: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::Sample(sample) => Some(sample.clone()),
            _ => None,
        })
        .collect();
    samples.sort_by_key(|sample| sample.intended);
    samples
}

fn fates(facts: &[Fact]) -> Vec<(String, Fate)> {
    facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::LedgerWrite { key, fate, .. } => Some((key.clone(), *fate)),
            _ => None,
        })
        .collect()
}

/// The keys that the server received, in order.
fn keys(server: &Server) -> Vec<String> {
    let key = |body: &str| {
        let json: Value = serde_json::from_str(body).unwrap();
        json["id"].as_str().unwrap().to_owned()
    };
    let requests = server.requests();
    requests.iter().map(|request| key(&request.body)).collect()
}

/// Runs `writes` against a server until `count` requests have arrived there.
async fn write_until(server: &Server, rate: f64, timeout: Duration, count: usize) -> Vec<Fact> {
    let (recorder, stream, stop) = stage();
    let workload = writes(rate, timeout);
    let ledger = chunks();
    let url = server.url();
    let handle = load::start(&workload, Some(&ledger), &url, SEED, recorder, stop.clone()).unwrap();
    server.received(count).await;
    stop.cancel();
    handle.await.unwrap();
    facts(stream).await
}

/// Runs `writes` against an address until one sample is there.
async fn write_to(address: SocketAddr, timeout: Duration) -> (Outcome, Vec<(String, Fate)>) {
    let (recorder, mut stream, stop) = stage();
    let workload = writes(0.01, timeout);
    let ledger = chunks();
    let url = format!("http://{address}");
    let handle = load::start(&workload, Some(&ledger), &url, SEED, recorder, stop.clone()).unwrap();
    let mut seen = Vec::new();
    while samples(&seen).is_empty() {
        seen.push(stream.next().await.unwrap().fact);
    }
    stop.cancel();
    handle.await.unwrap();
    let outcome = samples(&seen).remove(0).outcome;
    (outcome, fates(&seen))
}

#[tokio::test]
async fn arrivals_do_not_wait_for_replies() {
    let late = |_: usize, _: &server::Received| Reaction::Late(ms(300), 201, String::new());
    let server = Server::start(late).await;
    let facts = write_until(&server, 100.0, ms(3000), 50).await;
    let samples = samples(&facts);
    assert!(samples.len() >= 50, "{} samples", samples.len());
    assert!(server.most_under_way() >= 20, "{}", server.most_under_way());
    for (earlier, later) in samples.iter().zip(&samples[1..]) {
        assert_eq!(later.intended.since(earlier.intended), ms(10));
    }
    for sample in &samples {
        assert_eq!(sample.outcome, Outcome::Ok { status: Some(201) });
        assert!(sample.latency() >= ms(300), "{sample:?}");
    }
}

#[tokio::test]
async fn a_stop_leaves_overdue_arrivals_out_and_what_is_late_counts_from_its_intended_send() {
    let (recorder, stream, stop) = stage();
    let clock = recorder.clock();
    let server = Server::start(|_, _| Reaction::Answer(200, String::new())).await;
    let workload = writes(100.0, ms(3000));
    let url = server.url();
    let handle = load::start(&workload, None, &url, SEED, recorder, stop.clone()).unwrap();
    server.received(3).await;
    // This test's runtime has one thread: nobody can send while this loop spins.
    let busy_from = clock.now();
    while clock.now().since(busy_from) < ms(200) {
        std::hint::spin_loop();
    }
    server.received(20).await;
    stop.cancel();
    handle.await.unwrap();
    let facts = facts(stream).await;
    let overdue = facts.iter().filter_map(|fact| match fact {
        Fact::Shortfall {
            what: Shortfall::Overdue { count, .. },
            ..
        } => Some(*count),
        _ => None,
    });
    let overdue: u64 = overdue.sum();
    assert!((10..40).contains(&overdue), "{overdue} left out");
    let samples = samples(&facts);
    let (first, last) = (&samples[0], samples.last().unwrap());
    let due = samples.len() as u64 - 1 + overdue;
    assert_eq!(last.intended.since(first.intended), ms(10 * due));
    let late = || samples.iter().filter(|sample| sample.lateness() >= ms(15));
    assert!(late().count() >= 2, "{}", late().count());
    assert!(late().all(|sample| sample.latency() >= sample.lateness()));
}

#[tokio::test]
async fn a_refused_connection_is_a_connect_error_and_surely_not_applied() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (outcome, fates) = write_to(address, ms(3000)).await;
    assert!(
        matches!(outcome, Outcome::ConnectError { .. }),
        "{outcome:?}"
    );
    assert_eq!(fates.len(), 1);
    assert_eq!(fates[0].1, Fate::Fail);
}

#[tokio::test]
async fn silence_is_a_timeout_wherever_it_begins() {
    // Accepted by the kernel only; read and never answered; begun to be answered.
    let unheard = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = Server::start(|_, _| Reaction::Silence).await;
    let partial =
        Server::start(|_, _| Reaction::Raw("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"))
            .await;
    for address in [
        unheard.local_addr().unwrap(),
        silent.address,
        partial.address,
    ] {
        let (outcome, fates) = write_to(address, ms(100)).await;
        assert_eq!(outcome, Outcome::Timeout);
        assert_eq!(fates.len(), 1);
        assert_eq!(fates[0].1, Fate::Unknown);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_send_is_broken_and_nothing_is_sent_twice() {
    let broken = [
        Reaction::Close,
        Reaction::Reset,
        Reaction::Raw("no http\r\n\r\n"),
    ];
    for reaction in broken {
        let server = Server::start(move |_, _| reaction.clone()).await;
        let (outcome, fates) = write_to(server.address, ms(3000)).await;
        assert!(matches!(outcome, Outcome::Broken { .. }), "{outcome:?}");
        assert_eq!(fates, [(keys(&server)[0].clone(), Fate::Unknown)]);
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_request_is_never_sent_twice_when_a_used_connection_breaks_after_it() {
    // Every third request loses its connection, which was used twice before.
    let server = Server::start(|ordinal, _| match ordinal % 3 {
        2 => Reaction::Close,
        _ => Reaction::Answer(201, String::new()),
    })
    .await;
    let facts = write_until(&server, 100.0, ms(3000), 30).await;
    let samples = samples(&facts);
    let keys = keys(&server);
    let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(samples.len(), keys.len());
    let broken = samples
        .iter()
        .filter(|sample| matches!(sample.outcome, Outcome::Broken { .. }))
        .count();
    assert_eq!(broken, keys.len() / 3);
    assert!(server.connections() <= keys.len() / 3 + 2);
}

#[tokio::test]
async fn a_connection_is_used_again_and_one_that_was_closed_while_idle_is_not() {
    let kept = Server::start(|_, _| Reaction::Answer(201, String::new())).await;
    let facts = write_until(&kept, 100.0, ms(3000), 20).await;
    assert!(samples(&facts).iter().all(|sample| sample.outcome.is_ok()));
    assert!(kept.connections() < 10, "{}", kept.connections());
    assert!(
        kept.requests()[0]
            .head
            .contains(&format!("host: {}", kept.address))
    );

    let closing = Server::start(|_, _| Reaction::AnswerAndClose(201, String::new())).await;
    let facts = write_until(&closing, 100.0, ms(3000), 20).await;
    let samples = samples(&facts);
    assert!(
        samples.iter().all(|sample| sample.outcome.is_ok()),
        "{samples:?}"
    );
    assert_eq!(closing.connections(), closing.requests().len());
}

#[test]
fn a_request_that_was_not_written_to_a_closed_connection_goes_out_on_a_fresh_one() {
    let servers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let close = CancellationToken::new();
    let told = close.clone();
    let script = move |_: usize, _: &server::Received| Reaction::AnswerUntil(told.clone());
    let server = servers.block_on(Server::start(script));
    let call = Call {
        method: "GET".parse().unwrap(),
        path: "/".into(),
        headers: HeaderMap::new(),
        body: Bytes::new(),
        keep: 0,
        hash: false,
    };
    let client = Client::new(Target::parse(&server.url()).unwrap(), Clock::start());
    let clients = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    clients.block_on(async {
        client.call(call.clone(), ms(3000)).await.unwrap();
        close.cancel();
        while server.closed() == 0 {
            std::hint::spin_loop();
        }
        // The runtime learns of the close, and this task has its turn before the connection's:
        // the request meets a connection whose end is there and unread.
        tokio::task::yield_now().await;
        let answer = client.call(call, ms(3000)).await;
        assert_eq!(answer.map(|answer| answer.status), Ok(200));
    });
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[tokio::test]
async fn the_same_seed_writes_the_same_keys() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let server = Server::start(|_, _| Reaction::Answer(201, String::new())).await;
        write_until(&server, 200.0, ms(3000), 10).await;
        let mut bodies: Vec<_> = server.requests().into_iter().map(|r| r.body).collect();
        bodies.truncate(10);
        runs.push(bodies);
    }
    assert_eq!(runs[0].len(), 10);
    assert_eq!(runs[0], runs[1]);
    assert!(runs[0][9].contains("fn f9() {}"), "{}", runs[0][9]);
}

#[tokio::test]
async fn a_job_is_started_once_and_polled_until_it_is_done() {
    let server = Server::start(|ordinal, request| match ordinal {
        0 => Reaction::Answer(202, "{\"id\": 42}".into()),
        1 => Reaction::Answer(200, "{\"state\": \"running\", \"files_done\": 3}".into()),
        2 => Reaction::Answer(503, "database unavailable".into()),
        3 => Reaction::Close,
        4 => Reaction::Answer(200, "{\"state\": \"paused\", \"files_done\": 5}".into()),
        _ => {
            assert_eq!(request.line, "GET /index/42 HTTP/1.1");
            Reaction::Answer(200, "{\"state\": \"completed\", \"files_done\": 10}".into())
        }
    })
    .await;
    let (recorder, stream, stop) = stage();
    let url = server.url();
    let handle = load::start(&job(ms(20)), None, &url, SEED, recorder, stop).unwrap();
    handle.await.unwrap();
    let facts = facts(stream).await;
    let statuses: Vec<_> = facts
        .iter()
        .filter_map(|fact| match fact {
            Fact::JobStatus {
                job,
                progress,
                done,
                state,
                ..
            } => Some((job.as_str(), *progress, *done, state.as_deref())),
            _ => None,
        })
        .collect();
    let expected = [
        ("42", Some(3), false, Some("running")),
        ("42", Some(5), false, Some("paused")),
        ("42", Some(10), true, Some("completed")),
    ];
    assert_eq!(statuses, expected);
    let ok: Vec<_> = samples(&facts).iter().map(|s| s.outcome.is_ok()).collect();
    assert_eq!(ok, [true, false, false, true, true]);
    let requests = server.requests();
    assert_eq!(requests.len(), 6);
    assert_eq!(requests[0].line, "POST /index HTTP/1.1");
    assert_eq!(requests[0].body, "{\"files\":10}");
}

#[tokio::test]
async fn a_job_that_does_not_start_is_trouble_and_not_tried_again() {
    let server = Server::start(|_, _| Reaction::Answer(500, "no".into())).await;
    let (recorder, stream, stop) = stage();
    let url = server.url();
    let handle = load::start(&job(ms(20)), None, &url, SEED, recorder, stop).unwrap();
    handle.await.unwrap();
    let message =
        "workload `index`: the job did not start: status 500, expected 2xx: no".to_owned();
    assert_eq!(facts(stream).await, [Fact::Trouble { message }]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_job_ends_when_told_to_stop() {
    let server = Server::start(|ordinal, _| match ordinal {
        0 => Reaction::Answer(202, "{\"id\": \"a\"}".into()),
        _ => Reaction::Answer(200, "{\"state\": \"running\"}".into()),
    })
    .await;
    let (recorder, stream, stop) = stage();
    let url = server.url();
    let handle = load::start(&job(ms(20)), None, &url, SEED, recorder, stop.clone()).unwrap();
    server.received(4).await;
    stop.cancel();
    handle.await.unwrap();
    assert!(samples(&facts(stream).await).len() >= 3);
}

#[tokio::test]
async fn rounds_of_a_probe_keep_their_period_while_the_server_hangs() {
    let server = Server::start(|ordinal, _| match ordinal {
        0 => Reaction::Answer(200, "{\"status\": \"healthy\"}".into()),
        1 => Reaction::Answer(200, "{\"status\": \"degraded\"}".into()),
        _ => Reaction::Silence,
    })
    .await;
    let (recorder, stream, stop) = stage();
    let url = server.url();
    let handle = probe::start(
        &health(ms(20), ms(300)),
        |_| Some(url.clone()),
        &no_programs(),
        SEED,
        recorder,
        stop.clone(),
    );
    let handle = handle.unwrap().unwrap();
    server.received(20).await;
    stop.cancel();
    handle.await.unwrap();
    let samples = samples(&facts(stream).await);
    assert!(samples.len() >= 20);
    assert!(server.most_under_way() >= 8, "{}", server.most_under_way());
    for (earlier, later) in samples.iter().zip(&samples[1..]) {
        assert_eq!(later.intended.since(earlier.intended), ms(20));
    }
    assert_eq!(samples[0].outcome, Outcome::Ok { status: Some(200) });
    assert!(matches!(&samples[1].outcome, Outcome::NotOk { why, .. } if why.contains("degraded")));
    for sample in &samples[2..] {
        assert_eq!(sample.outcome, Outcome::Timeout);
        assert!(sample.done.since(sample.sent) < ms(2000), "{sample:?}");
    }
}

#[tokio::test]
async fn what_cannot_start_says_why() {
    let (recorder, _stream, stop) = stage();
    let url = "http://127.0.0.1:1";
    let mut ledger = chunks();
    ledger.key = "chunk_id".into();
    let workload = writes(1.0, ms(100));
    let error = load::start(
        &workload,
        Some(&ledger),
        url,
        SEED,
        recorder.clone(),
        stop.clone(),
    );
    assert_eq!(
        error.unwrap_err().problem.to_string(),
        "ledger `chunks` finds its keys in the field `chunk_id`, which the JSON body lacks; add it, for example `chunk_id = \"{{uuid}}\"`"
    );
    let error = job(Duration::ZERO).check(None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`every` is zero; write the time between two polls, for example `250ms`"
    );
    let error = probe::start(
        &health(ms(1), ms(1)),
        |_| Some("https://x".into()),
        &no_programs(),
        SEED,
        recorder,
        stop,
    );
    assert_eq!(
        error.unwrap_err().problem.to_string(),
        "`https://x`: only `http://` is supported"
    );
}
