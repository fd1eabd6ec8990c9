//! Faults on live connections.

use std::io::ErrorKind::{ConnectionRefused, ConnectionReset};
use std::time::Duration;

use chaosproxy::action::{Action, Injection, Order};
use chaosproxy::check::{Experiment, History, Occurrence};
use chaosproxy::event::{AskedBy, ClosedBy, Fact, Impact};
use chaosproxy::fault::{Affect, Scope};
use chaosproxy::units::Moment;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{read_n, read_to_end};
use crate::support::rig::{Rig, patiently};

fn affecting(affect: Affect) -> Scope {
    Scope {
        affect,
        ..Scope::default()
    }
}

fn hit(fact: &Fact) -> Option<(Option<u64>, Impact)> {
    match fact {
        Fact::FaultHit { conn, impact, .. } => Some((*conn, *impact)),
        _ => None,
    }
}

fn closed(fact: &Fact) -> Option<(u64, ClosedBy)> {
    match fact {
        Fact::ConnectionClosed { conn, cause, .. } => Some((*conn, cause.clone())),
        _ => None,
    }
}

async fn assert_silent(stream: &mut TcpStream) {
    let mut buffer = [0; 1];
    let read = timeout(Duration::from_millis(100), stream.read(&mut buffer)).await;
    assert!(read.is_err(), "something came through: {read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_holds_bytes_and_its_lifting_delivers_them_once() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    client.write_all(b"before ").await.unwrap();
    assert_eq!(read_n(&mut server, 7).await, b"before ");

    rig.inject("partition", json!({ "mode": "stall" }), Scope::default())
        .await;
    client.write_all(b"during ").await.unwrap();
    server.write_all(b"answer").await.unwrap();
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Withheld));
    assert_silent(&mut server).await;
    assert_silent(&mut client).await;

    rig.lift("partition").await;
    client.write_all(b"after").await.unwrap();
    assert_eq!(read_n(&mut server, 12).await, b"during after");
    assert_eq!(read_n(&mut client, 6).await, b"answer");
    drop(client);
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    assert!(rig.facts().iter().all(|event| hit(&event.fact).is_none()));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_of_new_connections_leaves_existing_ones_alone() {
    let rig = Rig::new();
    let path = rig.path().await;
    let (mut old_client, mut old_server) = path.connect().await;
    rig.inject("partition", json!({}), affecting(Affect::New))
        .await;
    let (mut new_client, mut new_server) = path.connect().await;
    new_client.write_all(b"x").await.unwrap();
    assert_silent(&mut new_server).await;
    old_client.write_all(b"y").await.unwrap();
    assert_eq!(read_n(&mut old_server, 1).await, b"y");
    rig.lift("partition").await;
    assert_eq!(read_n(&mut new_server, 1).await, b"x");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disconnect_of_existing_connections_reaches_each_of_them() {
    const COUNT: usize = 50;
    let mut rig = Rig::new();
    let path = rig.path().await;
    let mut ends = Vec::new();
    for _ in 0..COUNT {
        let (mut client, mut server) = path.connect().await;
        // The server has it before the proxy knows; with a byte through, both legs are there.
        client.write_all(b"x").await.unwrap();
        assert_eq!(patiently(server.read_u8()).await.unwrap(), b'x');
        ends.push((client, server));
    }
    rig.inject(
        "disconnect",
        json!({ "how": "rst" }),
        affecting(Affect::Existing),
    )
    .await;
    // It acts once: it is lifted as soon as it was injected.
    rig.lift("disconnect").await;
    for (mut client, mut server) in ends {
        assert_eq!(
            read_to_end(&mut client).await,
            (vec![], Err(ConnectionReset))
        );
        assert_eq!(
            read_to_end(&mut server).await,
            (vec![], Err(ConnectionReset))
        );
        let (_, cause) = rig.fact(closed).await;
        assert_eq!(cause, ClosedBy::Fault("disconnect".into()));
    }
    path.connect().await;
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejecting_port_shows_every_attempt_and_resets_it() {
    const ATTEMPTS: u64 = 20;
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut existing, _server) = path.connect().await;
    rig.inject("partition", json!({ "mode": "reject" }), Scope::default())
        .await;
    assert_eq!(read_to_end(&mut existing).await.1, Err(ConnectionReset));
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Closed));
    let by_fault = || ClosedBy::Fault("partition".into());
    assert_eq!(rig.fact(closed).await, (0, by_fault()));
    for attempt in 1..=ATTEMPTS {
        let mut client = patiently(TcpStream::connect(path.proxy)).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        assert_eq!(
            read_to_end(&mut client).await,
            (vec![], Err(ConnectionReset))
        );
        assert_eq!(rig.fact(hit).await, (Some(attempt), Impact::Refused));
        assert_eq!(rig.fact(closed).await, (attempt, by_fault()));
    }
    rig.engine.apply(Action::HealAll).await.unwrap();
    let (mut client, mut server) = path.connect().await;
    client.write_all(b"again").await.unwrap();
    assert_eq!(read_n(&mut server, 5).await, b"again");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusing_port_refuses_and_serves_again_once_lifted() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    for _ in 0..3 {
        let (mut existing, mut server) = path.connect().await;
        existing.write_all(b"hello").await.unwrap();
        assert_eq!(read_n(&mut server, 5).await, b"hello");
        rig.inject("partition", json!({ "mode": "refuse" }), Scope::default())
            .await;
        assert_eq!(read_to_end(&mut existing).await.1, Err(ConnectionReset));
        assert_eq!(read_to_end(&mut server).await.1, Err(ConnectionReset));
        let cut = |fact: &Fact| hit(fact).filter(|(conn, _)| conn.is_some());
        assert_eq!(rig.fact(cut).await.1, Impact::Closed);
        for _ in 0..10 {
            let refused = TcpStream::connect(path.proxy).await.unwrap_err();
            assert_eq!(refused.kind(), ConnectionRefused);
        }
        let stranger = std::net::TcpListener::bind(path.proxy).unwrap_err();
        assert_eq!(stranger.kind(), std::io::ErrorKind::AddrInUse);
        rig.lift("partition").await;
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_delays_and_its_lifting_releases_at_once() {
    let mut rig = Rig::new();
    let clock = rig.recorder.clock();
    let (mut client, mut server) = rig.path().await.connect().await;

    rig.inject("latency", json!({ "latency": "100ms" }), Scope::default())
        .await;
    let sent = clock.now();
    client.write_all(b"slow").await.unwrap();
    assert_eq!(read_n(&mut server, 4).await, b"slow");
    let took = clock.now().since(sent);
    assert!(took >= Duration::from_millis(100), "{took:?}");
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Delayed));
    rig.lift("latency").await;

    rig.inject("latency", json!({ "latency": "1h" }), Scope::default())
        .await;
    let sent = clock.now();
    client.write_all(b"never?").await.unwrap();
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Delayed));
    rig.lift("latency").await;
    assert_eq!(read_n(&mut server, 6).await, b"never?");
    let took = clock.now().since(sent);
    // What was released early is not late.
    let stats = rig.engine.stats("db".into()).await.unwrap();
    assert_eq!(stats.late.expect("a delay was carried out").samples, 1);
    // It was held for as long as the fault lasted, and counts so.
    let injected = stats.injected.expect("bytes were held");
    assert_eq!(injected.samples, 2);
    assert!(injected.p50 <= took * 5 / 4, "{injected:?}");
    assert!(injected.max >= Duration::from_millis(100), "{injected:?}");
    assert_eq!(stats.own, None, "every byte met a fault");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bandwidth_carries_every_byte_and_none_too_early() {
    let mut rig = Rig::new();
    let clock = rig.recorder.clock();
    let (mut client, mut server) = rig.path().await.connect().await;
    let text: Vec<u8> = (0..=250).cycle().take(300_000).collect();

    rig.inject("bandwidth", json!({ "rate": "1MB/s" }), Scope::default())
        .await;
    let began = clock.now();
    let (sent, received) = tokio::join!(client.write_all(&text), read_n(&mut server, text.len()));
    sent.unwrap();
    let took = clock.now().since(began);
    assert!(received == text, "the bytes that arrived are others");
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Delayed));
    rig.engine.shutdown().await;
}

/// Sends `text` piece by piece while the latency changes under it; gives what came out.
async fn through_changes(
    rig: &Rig,
    from: &mut (impl AsyncWriteExt + Unpin),
    to: &mut (impl AsyncReadExt + Unpin),
    text: &[u8],
) -> Vec<u8> {
    let change = async {
        for step in 0..200_u32 {
            // Up and down, so that what comes later would be due earlier.
            let latency = format!("{}us", 100 * (step * 37 % 50));
            let params = json!({ "latency": latency, "jitter": "0s" });
            let fault = "latency".into();
            let change = Action::Reconfigure {
                fault,
                params,
                minor: false,
            };
            rig.engine.apply(change).await.unwrap();
        }
    };
    let write = async {
        for piece in text.chunks(997) {
            from.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let mut read = vec![0; text.len()];
    let ((), (), all) = tokio::join!(change, write, patiently(to.read_exact(&mut read)));
    all.unwrap();
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_change_under_live_connections_without_a_byte_out_of_place() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut client, mut server) = path.connect().await;
    rig.inject("latency", json!({ "latency": "5ms" }), Scope::default())
        .await;
    let text: Vec<u8> = (0..2_000_000_u32).flat_map(u32::to_be_bytes).collect();
    let (up, down) = text.split_at(text.len() / 2);
    assert!(through_changes(&rig, &mut client, &mut server, up).await == up);
    assert!(through_changes(&rig, &mut server, &mut client, down).await == down);

    // A connection that comes later meets the parameters of now.
    let params = json!({ "latency": "1h" });
    let fault = "latency".into();
    let change = Action::Reconfigure {
        fault,
        params,
        minor: false,
    };
    rig.engine.apply(change).await.unwrap();
    let (mut late, mut late_server) = path.connect().await;
    late.write_all(b"late").await.unwrap();
    client.write_all(b"held").await.unwrap();
    assert_silent(&mut late_server).await;
    assert_silent(&mut server).await;
    rig.lift("latency").await;
    assert_eq!(read_n(&mut server, 4).await, b"held");
    assert_eq!(read_n(&mut late_server, 4).await, b"late");
    let hits = rig.facts().into_iter().filter_map(|event| hit(&event.fact));
    let hits: Vec<_> = hits.map(|(conn, _)| conn).collect();
    assert_eq!(hits, [Some(0), Some(1)], "each connection is hit once");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_made_is_refused_and_changes_nothing() {
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    rig.inject("latency", json!({ "latency": "1h" }), Scope::default())
        .await;
    let change = |fault: &str, params| Action::Reconfigure {
        fault: fault.into(),
        params,
        minor: false,
    };
    for (action, expected) in [
        (change("other", json!({})), "no fault named `other`"),
        (change("latency", json!({})), "missing field `latency`"),
    ] {
        let error = rig.engine.apply(action).await.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    client.write_all(b"held").await.unwrap();
    assert_silent(&mut server).await;
    rig.lift("latency").await;
    assert_eq!(read_n(&mut server, 4).await, b"held");
    rig.engine.shutdown().await;
}

/// What a check finds of the only fault of a run in which `inject` and `lift` were asked for.
async fn occurrence_of(inject: Order, change: Order, lift: Order) -> Occurrence {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    for order in [inject, change] {
        rig.engine.apply(order).await.unwrap();
    }
    client.write_all(b"held").await.unwrap();
    assert_silent(&mut server).await;
    rig.engine.apply(lift).await.unwrap();
    assert_eq!(read_n(&mut server, 4).await, b"held");
    rig.engine.shutdown().await;
    let events = rig.facts();
    let moved = events.iter().filter_map(|event| match &event.fact {
        Fact::FaultMoved { values, .. } => Some(values.clone()),
        _ => None,
    });
    let moved: Vec<_> = moved.collect();
    assert_eq!(moved, [[("latency".to_owned(), json!("2h"))].into()]);
    let history = History::new(Experiment::default(), events);
    let [occurrence] = history.fault("slow") else {
        panic!("{:?}", history.fault("slow"));
    };
    occurrence.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_that_no_schedule_planned_is_found_like_one_that_was_planned() {
    let latency = |latency| json!({ "latency": latency, "jitter": "0s" });
    let inject = Action::Inject(Injection {
        fault: "slow".into(),
        occurrence: 0,
        kind: "latency".to_owned(),
        params: latency("1h"),
        targets: vec!["db".into()],
        scope: Scope::default(),
    });
    let change = Action::Reconfigure {
        fault: "slow".into(),
        params: latency("2h"),
        minor: false,
    };
    let lift = Action::Lift {
        fault: "slow".into(),
    };
    let all = [&inject, &change, &lift].map(|action| action.clone().planned(Moment::ZERO));
    let [first, then, last] = all;
    let scheduled = occurrence_of(first, then, last).await;
    let heal = Action::HealAll.asked_by(AskedBy::Lease);
    for end in [lift.into(), heal] {
        let asked = occurrence_of(inject.clone().into(), change.clone().into(), end).await;
        for one in [&scheduled, &asked] {
            assert!(Some(one.inject) < one.in_force, "{one:?}");
            assert!(one.in_force < one.lift, "{one:?}");
            let hits: Vec<_> = one.hits.iter().map(|hit| (hit.conn, hit.impact)).collect();
            assert_eq!(hits, [(Some(0), Impact::Delayed)]);
        }
        assert_eq!(scheduled.planned, Moment::ZERO);
        assert_eq!(asked.planned, asked.inject);
    }
}
