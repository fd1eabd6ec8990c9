//! What a connection tells of itself, while it is open and when it ends.

use std::time::Duration;

use chaosproxy::event::{Awaited, Carried, ClosedBy, Event, Fact, Impact, Name};
use chaosproxy::fault::Scope;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::stream::write_until_stuck;
use super::{Deaf, read_n, read_to_end};
use crate::support::rig::{Rig, patiently, spec};
use crate::support::tell;

fn closed(fact: &Fact) -> Option<(ClosedBy, Carried)> {
    match fact {
        Fact::ConnectionClosed { cause, carried, .. } => Some((cause.clone(), (**carried).clone())),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn open_connections_are_seen_with_what_they_carried_since_the_last_look() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut quiet, mut busy) = (path.connect().await, path.connect().await);
    for (pair, bytes) in [(&mut quiet, 10), (&mut busy, 300)] {
        pair.0.write_all(&vec![1; bytes]).await.unwrap();
        read_n(&mut pair.1, bytes).await;
    }
    // A byte is delivered before it is counted.
    let seen = patiently(async {
        let mut moved = vec![(0, 0), (1, 0)];
        loop {
            let seen = rig.engine.connections("db".into(), 9).await.unwrap();
            assert_eq!(seen.len(), 2);
            for one in &seen {
                let conn = usize::try_from(one.conn).unwrap();
                moved[conn].1 += one.moved;
            }
            if moved == [(0, 10), (1, 300)] {
                break seen;
            }
            yield_now().await;
        }
    });
    let seen = seen.await;
    let carried = |conn| &seen.iter().find(|one| one.conn == conn).unwrap().carried;
    assert_eq!(
        (carried(0).bytes_upstream, carried(1).bytes_upstream),
        (10, 300)
    );
    assert_eq!(
        (carried(1).chunks_upstream, carried(1).chunks_downstream),
        (1, 0)
    );
    assert!([0, 1].iter().all(|conn| carried(*conn).active.is_some()));

    drop(busy);
    let (_, told) = rig.fact(closed).await;
    assert!(told.client_left > told.active);
    let told = Carried {
        client_left: None,
        ..told
    };
    assert_eq!(told, *carried(1));
    let left = rig.engine.connections("db".into(), 9).await.unwrap();
    assert_eq!(left.iter().map(|one| one.conn).collect::<Vec<_>>(), [0]);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_connection_tells_how_long_faults_held_it_and_which() {
    let mut rig = Rig::new();
    let clock = rig.recorder.clock();
    let (mut client, mut server) = rig.path().await.connect().await;
    for (fault, latency) in [("slow", "30ms"), ("slower", "70ms")] {
        rig.inject_as(&fault.into(), "latency", json!({ "latency": latency }))
            .await;
    }
    let sent = clock.now();
    // What is on its way at the same time is held once.
    for piece in [b"one", b"two"] {
        client.write_all(piece).await.unwrap();
    }
    read_n(&mut server, 6).await;
    server.write_all(b"three").await.unwrap();
    read_n(&mut client, 5).await;
    let took = clock.now().since(sent);
    drop(server);
    read_to_end(&mut client).await.1.unwrap();
    drop(client);
    let (_, carried) = rig.fact(closed).await;
    let least = Duration::from_millis(200);
    assert!(
        carried.held >= least && carried.held <= took,
        "{carried:?}, {took:?}"
    );
    assert_eq!(carried.faults, ["slow", "slower"].map(Name::from));
    assert_eq!((carried.bytes_upstream, carried.bytes_downstream), (6, 5));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_we_open_ourselves_meets_the_faults_of_everybody_and_leaves_no_trace() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let mut open = Vec::new();
    for _ in 0..20 {
        let stream = chaosproxy::own::connect(path.proxy).await.unwrap();
        open.push((stream, path.server.accept().await.unwrap()));
    }
    assert_eq!(rig.engine.stats("db".into()).await.unwrap().accepted, 0);
    let scope = Scope {
        percent: "99%".parse().unwrap(),
        ..Scope::default()
    };
    // Nothing is drawn for us: the end that everybody gets is the first.
    rig.inject("disconnect", json!({ "how": "fin" }), scope)
        .await;
    rig.inject_as(&"all".into(), "disconnect", json!({ "how": "rst" }))
        .await;
    for (stream, _) in &mut open {
        let ended = read_to_end(stream).await.1;
        assert_eq!(ended, Err(std::io::ErrorKind::ConnectionReset));
    }
    rig.lift("disconnect").await;
    rig.lift("all").await;
    let _client = path.connect().await;
    let first = rig
        .fact(|fact| match fact {
            Fact::ConnectionOpened { conn, .. } | Fact::ConnectionClosed { conn, .. } => {
                Some(*conn)
            }
            Fact::FaultHit { .. } => panic!("nobody was hit: {fact:?}"),
            _ => None,
        })
        .await;
    assert_eq!(first, 0, "clients are counted by themselves");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_a_shut_port_turns_away_is_counted_and_we_are_not() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    if chaosproxy::sys::syn::SynCapture::at(path.proxy.port()).is_err() {
        return tell("skipped: refused clients are counted only with CAP_NET_RAW");
    }
    rig.inject("partition", json!({ "mode": "refuse" }), Scope::default())
        .await;
    for _ in 0..3 {
        chaosproxy::own::connect(path.proxy).await.unwrap_err();
        TcpStream::connect(path.proxy).await.unwrap_err();
    }
    for _ in 0..3 {
        let hit = |fact: &Fact| match fact {
            Fact::FaultHit { conn, impact, .. } => Some((*conn, *impact)),
            _ => None,
        };
        assert_eq!(rig.fact(hit).await, (None, Impact::Refused));
    }
    rig.lift("partition").await;
    let _client = path.connect().await;
    let facts = rig.facts();
    let hit = |event: &&Event| matches!(event.fact, Fact::FaultHit { .. });
    assert_eq!(
        facts.iter().find(hit),
        None,
        "who is let in, and we, are none"
    );
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_fault_never_gave_back_was_held_to_the_end() {
    let mut rig = Rig::new();
    let clock = rig.recorder.clock();
    let (mut client, _server) = rig.path().await.connect().await;
    let params = json!({ "delay": "1h" });
    rig.inject("timeout", params, Scope::default()).await;
    let sent = clock.now();
    client.write_all(b"lost").await.unwrap();
    let hit = |fact: &Fact| matches!(fact, Fact::FaultHit { .. }).then_some(());
    rig.fact(hit).await;
    rig.lift("timeout").await;
    read_to_end(&mut client).await.1.unwrap_err();
    let (cause, carried) = rig.fact(closed).await;
    assert_eq!(cause, ClosedBy::Fault("timeout".into()));
    assert_eq!(carried.bytes_upstream, 0);
    let most = clock.now().since(sent);
    assert!(
        carried.held > Duration::ZERO && carried.held <= most,
        "{carried:?}"
    );
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_is_not_let_in_yet_was_held() {
    let mut rig = Rig::new();
    let params = json!({ "delay": "60ms" });
    let path = rig.path().await;
    rig.inject("accept_delay", params, Scope::default()).await;
    drop(path.connect().await);
    let (_, carried) = rig.fact(closed).await;
    assert!(carried.held >= Duration::from_millis(60), "{carried:?}");
    assert_eq!(carried.faults, [Name::from("accept_delay")]);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_is_seen_with_what_for_and_since_when() {
    let rig = Rig::new();
    let clock = rig.recorder.clock();
    let path = rig.path().await;
    let ((mut asks, mut never), (mut held, _server)) = (path.connect().await, path.connect().await);
    let began = clock.now();
    asks.write_all(b"?").await.unwrap();
    read_n(&mut never, 1).await;
    rig.inject("partition", json!({}), Scope::default()).await;
    held.write_all(b"!").await.unwrap();
    let (seen, at) = patiently(async {
        loop {
            let seen = rig.engine.connections("db".into(), 5).await.unwrap();
            if seen.iter().filter(|one| one.waits.is_some()).count() == 2 {
                break (seen, clock.now());
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let waits = |nth: usize| seen[nth].waits.unwrap();
    assert_eq!(
        [seen[0].conn, seen[1].conn],
        [0, 1],
        "the longest wait first"
    );
    assert_eq!(
        [waits(0).on, waits(1).on],
        [Awaited::Answer, Awaited::Fault]
    );
    assert!(began < waits(0).since && waits(0).since < waits(1).since);
    assert!(at.since(waits(1).since) >= Duration::from_secs(1));
    assert_eq!(seen[1].carried.faults, [Name::from("partition")]);
    rig.engine.shutdown().await;
}

/// What the one connection of `proxy` waits for, once that has taken its second.
async fn awaited(rig: &Rig, proxy: &str) -> Awaited {
    patiently(async {
        loop {
            let seen = rig.engine.connections(proxy.into(), 5).await.unwrap();
            assert_eq!(seen.len(), 1);
            if let Some(wait) = seen[0].waits {
                break wait.on;
            }
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dial_that_hangs_and_a_peer_that_takes_nothing_are_seen() {
    let rig = Rig::new();
    let deaf = Deaf::start().await;
    let hung = rig.add(spec("hung", deaf.address)).await.unwrap();
    let _waiting = patiently(TcpStream::connect(hung)).await.unwrap();
    let path = rig.path().await;
    let (mut client, mut server) = path.connect().await;
    write_until_stuck(&mut server).await;
    assert_eq!(awaited(&rig, "db").await, Awaited::Client);
    assert_eq!(awaited(&rig, "hung").await, Awaited::Dial);

    patiently(async {
        loop {
            read_n(&mut client, 64 << 10).await;
            let seen = rig.engine.connections("db".into(), 5).await.unwrap();
            if seen[0].waits.is_none() {
                break;
            }
        }
    })
    .await;
    rig.engine.shutdown().await;
}
