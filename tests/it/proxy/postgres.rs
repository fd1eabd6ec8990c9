//! What is seen of PostgreSQL sessions, whether or not they come to be.

use std::io::ErrorKind::ConnectionReset;

use chaosproxy::action::{Protocol, ProxySpec};
use chaosproxy::event::{Fact, Startup};
use chaosproxy::fault::Scope;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::{read_n, read_to_end};
use crate::support::rig::{Path, Rig, patiently, spec};

async fn path(rig: &Rig) -> Path {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spec = ProxySpec {
        protocol: Protocol::Postgres,
        ..spec("db", server.local_addr().unwrap())
    };
    let proxy = rig.add(spec).await.unwrap();
    Path { proxy, server }
}

/// A `StartupMessage` of user `ann` for database `shop`.
fn startup_message() -> Vec<u8> {
    let body = b"\x00\x03\x00\x00user\0ann\0database\0shop\0application_name\0till\0\0";
    let length = u32::try_from(4 + body.len()).unwrap();
    [&length.to_be_bytes()[..], body].concat()
}

fn ann() -> Startup {
    Startup::Session {
        user: "ann".to_owned(),
        database: "shop".to_owned(),
        application_name: "till".to_owned(),
    }
}

/// What was learnt of sessions: `Err` is a session that exists.
fn session(fact: &Fact) -> Option<(u64, Result<Startup, ()>)> {
    match fact {
        Fact::StartupPacket { conn, packet, .. } => Some((*conn, Ok(packet.clone()))),
        Fact::SessionReady { conn, .. } => Some((*conn, Err(()))),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_seen_from_its_request_until_it_is_ready() {
    let mut rig = Rig::new();
    let (mut client, mut server) = path(&rig).await.connect().await;
    let ask_for_tls = [0, 0, 0, 8, 4, 210, 22, 47];
    client.write_all(&ask_for_tls).await.unwrap();
    assert_eq!(read_n(&mut server, 8).await, ask_for_tls);
    assert_eq!(rig.fact(session).await, (0, Ok(Startup::Ssl)));
    server.write_all(b"N").await.unwrap();
    assert_eq!(read_n(&mut client, 1).await, b"N");

    let message = startup_message();
    let (head, tail) = message.split_at(11);
    client.write_all(head).await.unwrap();
    assert_eq!(read_n(&mut server, head.len()).await, head);
    client.write_all(tail).await.unwrap();
    assert_eq!(rig.fact(session).await, (0, Ok(ann())));
    server.write_all(b"R\0\0\0\x08\0\0\0\0").await.unwrap();
    server.write_all(b"Z\0\0\0\x05I").await.unwrap();
    assert_eq!(rig.fact(session).await, (0, Err(())));
    server.write_all(b"Z\0\0\0\x05I").await.unwrap();
    assert_eq!(read_n(&mut client, 21).await.len(), 21);
    assert!(
        rig.facts()
            .iter()
            .all(|event| session(&event.fact).is_none())
    );
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_seen_while_bytes_are_held_and_while_the_port_rejects() {
    let mut rig = Rig::new();
    let path = path(&rig).await;
    rig.inject("partition", json!({ "mode": "stall" }), Scope::default())
        .await;
    let (mut client, _server) = path.connect().await;
    client.write_all(&startup_message()).await.unwrap();
    assert_eq!(rig.fact(session).await, (0, Ok(ann())));
    rig.lift("partition").await;

    rig.inject("partition", json!({ "mode": "reject" }), Scope::default())
        .await;
    for attempt in 1..=20 {
        let mut client = patiently(TcpStream::connect(path.proxy)).await.unwrap();
        client.write_all(&startup_message()).await.unwrap();
        assert_eq!(
            read_to_end(&mut client).await,
            (vec![], Err(ConnectionReset))
        );
        assert_eq!(rig.fact(session).await, (attempt, Ok(ann())));
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_seen_while_the_server_is_dead() {
    let mut rig = Rig::new();
    let Path { proxy, server } = path(&rig).await;
    drop(server);
    for attempt in 0..20 {
        let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
        client.write_all(&startup_message()).await.unwrap();
        assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
        drop(client);
        assert_eq!(rig.fact(session).await, (attempt, Ok(ann())));
    }
    rig.engine.shutdown().await;
}
