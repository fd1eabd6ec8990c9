//! What peers see of single kinds of fault, over real sockets.

use std::io::ErrorKind::ConnectionReset;
use std::time::Duration;

use chaosproxy::event::{ClosedBy, Fact, Impact};
use chaosproxy::fault::{Scope, Selection, Ways};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{read_n, read_to_end};
use crate::support::rig::{Path, Rig, patiently};

const TEXT: &[u8] = b"0123456789abcdef";

fn toward(direction: Ways) -> Scope {
    Scope {
        direction,
        ..Scope::default()
    }
}

fn hit(fact: &Fact) -> Option<(Option<u64>, Impact)> {
    match fact {
        Fact::FaultHit { conn, impact, .. } => Some((*conn, *impact)),
        _ => None,
    }
}

fn closed(fact: &Fact) -> Option<ClosedBy> {
    match fact {
        Fact::ConnectionClosed { cause, .. } => Some(cause.clone()),
        _ => None,
    }
}

/// Injects a fault before a client sends [`TEXT`]; what the server gets, and how its stream and the
/// client's end.
async fn ends(
    kind: &str,
    params: Value,
    scope: Scope,
) -> (Vec<u8>, [Result<(), std::io::ErrorKind>; 2]) {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    rig.inject(kind, params, scope).await;
    client.write_all(TEXT).await.unwrap();
    let (got, server_end) = read_to_end(&mut server).await;
    let (_, client_end) = read_to_end(&mut client).await;
    assert_eq!(rig.fact(closed).await, ClosedBy::Fault(kind.into()));
    rig.engine.shutdown().await;
    (got, [server_end, client_end])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_data_ends_behind_its_last_byte_with_the_end_that_it_was_told() {
    let (got, [server, client]) =
        ends("limit_data", json!({ "bytes": "10B" }), Scope::default()).await;
    assert_eq!((&*got, server, client), (&TEXT[..10], Ok(()), Ok(())));

    let params = json!({ "bytes": "10B", "how": "rst" });
    let (_, ends) = ends("limit_data", params, Scope::default()).await;
    assert_eq!(ends, [Err(ConnectionReset); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_at_the_first_byte_is_seen_by_both_sides() {
    let (got, ends) = ends("reset_peer", json!({}), Scope::default()).await;
    assert_eq!((got, ends), (vec![], [Err(ConnectionReset); 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_and_a_lifetime_end_as_they_were_told() {
    let params = json!({ "delay": "50ms", "how": "rst" });
    let (got, sides) = ends("timeout", params, Scope::default()).await;
    assert_eq!((got, sides), (vec![], [Err(ConnectionReset); 2]));

    let params = json!({ "lifetime": "200ms" });
    let (_, sides) = ends("limit_time", params, Scope::default()).await;
    assert_eq!(sides, [Ok(()); 2]);

    let params = json!({ "idle": "100ms" });
    let (got, sides) = ends("disconnect", params, Scope::default()).await;
    assert_eq!((&*got, sides), (TEXT, [Ok(()); 2]));
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_disconnect_ends_one_way_and_the_other_goes_on() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    client.write_all(b"before").await.unwrap();
    assert_eq!(read_n(&mut server, 6).await, b"before");
    let params = json!({ "how": "half_close" });
    rig.inject("disconnect", params, toward(Ways::Upstream))
        .await;
    // It acts once: it is lifted as soon as it was injected.
    rig.lift("disconnect").await;
    assert_eq!(rig.fact(hit).await, (Some(0), Impact::Closed));
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    client.write_all(b"nobody listens").await.unwrap();
    server.write_all(b"answer").await.unwrap();
    assert_eq!(read_n(&mut client, 6).await, b"answer");
    drop(server);
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    rig.fact(closed).await;
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_halves_of_a_disconnect_end_the_connection_in_an_orderly_way() {
    let params = json!({ "how": "half_close", "bytes": "1B" });
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    rig.inject("disconnect", params, Scope::default()).await;
    client.write_all(TEXT).await.unwrap();
    server.write_all(TEXT).await.unwrap();
    assert_eq!(read_to_end(&mut server).await, (TEXT[..1].to_vec(), Ok(())));
    assert_eq!(read_to_end(&mut client).await, (TEXT[..1].to_vec(), Ok(())));
    for _ in 0..10 {
        // Neither is reset for going on for a while.
        client.write_all(TEXT).await.unwrap();
        server.write_all(TEXT).await.unwrap();
    }
    let cause = rig.fact(closed).await;
    assert_eq!(cause, ClosedBy::Fault("disconnect".into()));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_close_keeps_the_bytes_and_delays_the_end() {
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    rig.inject("slow_close", json!({ "delay": "1h" }), Scope::default())
        .await;
    client.write_all(TEXT).await.unwrap();
    client.shutdown().await.unwrap();
    assert_eq!(read_n(&mut server, TEXT.len()).await, TEXT);
    let early = timeout(Duration::from_millis(100), server.read_u8()).await;
    assert!(early.is_err(), "the end was not delayed: {early:?}");
    rig.lift("slow_close").await;
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sliced_stream_arrives_whole_in_many_reads() {
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    let params = json!({ "size": "4B", "pause": "5ms" });
    rig.inject("slicer", params, Scope::default()).await;
    client.write_all(TEXT).await.unwrap();
    let mut buffer = [0; 64];
    let first = patiently(server.read(&mut buffer)).await.unwrap();
    assert!(first < TEXT.len(), "{first} bytes in one read");
    let rest = read_n(&mut server, TEXT.len() - first).await;
    assert_eq!([&buffer[..first], &rest].concat(), TEXT);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_is_held_back_does_not_make_the_pieces_of_a_slicer_smaller() {
    const BYTES: usize = 400_000;
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    let params = json!({ "size": "1KB", "variation": "500B", "pause": "2ms" });
    rig.inject("slicer", params, Scope::default()).await;
    let writer = tokio::spawn(async move {
        client.write_all(&vec![7; BYTES]).await.unwrap();
        client
    });
    let mut buffer = vec![0; BYTES];
    let mut reads = Vec::new();
    let mut left = BYTES;
    while left > 0 {
        let read = patiently(server.read(&mut buffer)).await.unwrap();
        left -= read;
        reads.push(read);
    }
    // A reader that comes late finds several pieces, but never a part of one.
    let (_, whole) = reads.split_last().unwrap();
    assert!(whole.len() > 50, "{whole:?}");
    let small = whole.iter().filter(|read| **read < 500).count();
    assert_eq!(small, 0, "of {}: {whole:?}", whole.len());
    drop(writer.await.unwrap());
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_does_not_answer_lets_clients_hang_and_serves_them_once_lifted() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut old, mut old_server) = path.connect().await;
    for _ in 0..2 {
        let params = json!({ "mode": "unanswered" });
        rig.inject("partition", params, Scope::default()).await;
        old.write_all(b"held").await.unwrap();
        let held = |fact: &Fact| hit(fact).filter(|(conn, _)| conn.is_some());
        assert_eq!(rig.fact(held).await, (Some(0), Impact::Withheld));
        let waiting = tokio::spawn(TcpStream::connect(path.proxy));
        let hangs = timeout(Duration::from_millis(300), TcpStream::connect(path.proxy)).await;
        assert!(hangs.is_err(), "somebody answered: {hangs:?}");
        let stranger = std::net::TcpListener::bind(path.proxy).unwrap_err();
        assert_eq!(stranger.kind(), std::io::ErrorKind::AddrInUse);

        rig.lift("partition").await;
        assert_eq!(read_n(&mut old_server, 4).await, b"held");
        // With its next SYN, a second after the first.
        let mut client = patiently(waiting).await.unwrap().unwrap();
        let (mut server, _) = patiently(path.server.accept()).await.unwrap();
        client.write_all(b"late").await.unwrap();
        assert_eq!(read_n(&mut server, 4).await, b"late");
    }
    let opened = rig
        .facts()
        .into_iter()
        .filter(|event| matches!(event.fact, Fact::ConnectionOpened { .. }));
    assert!(opened.count() <= 2, "what fills the queue is no connection");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_acceptance_keeps_new_clients_waiting_until_it_is_lifted() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let (mut old, mut old_server) = path.connect().await;
    rig.inject("accept_delay", json!({ "delay": "1h" }), Scope::default())
        .await;
    let mut new = patiently(TcpStream::connect(path.proxy)).await.unwrap();
    new.write_all(b"hello").await.unwrap();
    assert_eq!(rig.fact(hit).await, (Some(1), Impact::Delayed));
    let early = timeout(Duration::from_millis(100), path.server.accept()).await;
    assert!(early.is_err(), "the server was connected");
    old.write_all(b"x").await.unwrap();
    assert_eq!(read_n(&mut old_server, 1).await, b"x");
    rig.lift("accept_delay").await;
    let (mut server, _) = patiently(path.server.accept()).await.unwrap();
    assert_eq!(read_n(&mut server, 5).await, b"hello");

    rig.inject("accept_delay", json!({ "delay": "50ms" }), Scope::default())
        .await;
    path.connect().await;
    rig.engine.shutdown().await;
}

/// A new connection that is turned away: how it ends.
async fn turned_away(path: &Path) -> Result<(), std::io::ErrorKind> {
    let attempt = async {
        let mut client = TcpStream::connect(path.proxy).await?;
        client.write_all(b"hello").await?;
        client.read_to_end(&mut Vec::new()).await
    };
    // A reset may be noticed as early as by the connect.
    patiently(attempt)
        .await
        .map(drop)
        .map_err(|error| error.kind())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_connections_turns_away_the_one_too_many() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let mut open = vec![
        path.connect().await,
        path.connect().await,
        path.connect().await,
    ];
    rig.inject("connection_limit", json!({ "most": 3 }), Scope::default())
        .await;
    assert_eq!(turned_away(&path).await, Ok(()));
    assert_eq!(rig.fact(hit).await, (Some(3), Impact::Refused));
    assert_eq!(
        rig.fact(closed).await,
        ClosedBy::Fault("connection_limit".into())
    );
    drop(open.pop());
    assert_eq!(rig.fact(closed).await, ClosedBy::Client);
    open.push(path.connect().await);
    rig.lift("connection_limit").await;

    let params = json!({ "most": 0, "how": "rst" });
    rig.inject("connection_limit", params, Scope::default())
        .await;
    assert_eq!(turned_away(&path).await, Err(ConnectionReset));
    let (client, server) = &mut open[0];
    client.write_all(b"x").await.unwrap();
    assert_eq!(read_n(server, 1).await, b"x");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_matched_by_what_is_known_of_them() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let mut open = vec![
        path.connect().await,
        path.connect().await,
        path.connect().await,
    ];
    // Time has to pass: age is what is looked at.
    timeout(Duration::from_millis(60), std::future::pending::<()>())
        .await
        .unwrap_err();
    // The second is in use; a fourth is young.
    open[1].0.write_all(b"x").await.unwrap();
    assert_eq!(read_n(&mut open[1].1, 1).await, b"x");
    open.push(path.connect().await);

    let scope = |selection: Value| Scope {
        selection: serde_json::from_value::<Selection>(selection).unwrap(),
        ..Scope::default()
    };
    for (selection, mut cut) in [
        (json!({ "client": "10.0.0.0/8" }), vec![]),
        (
            json!({ "ordinal": "2..2", "client": "127.0.0.0/8" }),
            vec![2],
        ),
        (json!({ "min_age": "50ms", "idle": "50ms" }), vec![0]),
        (json!({ "min_age": "50ms" }), vec![1]),
        (json!({ "max_age": "1h" }), vec![3]),
    ] {
        rig.inject(
            "disconnect",
            json!({ "how": "rst" }),
            scope(selection.clone()),
        )
        .await;
        rig.lift("disconnect").await;
        let mut hits: Vec<u64> = rig
            .facts()
            .iter()
            .filter_map(|event| hit(&event.fact)?.0)
            .collect();
        hits.sort_unstable();
        cut.sort_unstable();
        assert_eq!(hits, cut, "{selection}");
    }
    rig.engine.shutdown().await;
}
