//! How connections end while faults hold, drop or cut what they carry.

use std::io::ErrorKind::ConnectionReset;
use std::net::SocketAddr;
use std::time::Duration;

use chaosproxy::action::ProxySpec;
use chaosproxy::event::{Carried, ClosedBy, Fact, Impact};
use chaosproxy::fault::{Affect, Scope, Ways};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::stream::write_until_stuck;
use super::{Deaf, read_n, read_to_end, reset};
use crate::support::rig::{Rig, patiently, spec};

const MIB: usize = 1 << 20;

fn closed(fact: &Fact) -> Option<(ClosedBy, Carried)> {
    match fact {
        Fact::ConnectionClosed { cause, carried, .. } => Some((cause.clone(), (**carried).clone())),
        _ => None,
    }
}

fn by(fault: &str) -> ClosedBy {
    ClosedBy::Fault(fault.into())
}

/// A proxy `db` that goes on dialling a server that never answers.
async fn in_front_of_the_deaf(rig: &Rig) -> (SocketAddr, Deaf) {
    let deaf = Deaf::start().await;
    let patient = ProxySpec {
        dial_timeout: Duration::from_secs(3600),
        ..spec("db", deaf.address)
    };
    (rig.add(patient).await.unwrap(), deaf)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_gives_up_in_a_stall_is_known_to_have_left_then() {
    let mut rig = Rig::new();
    let (mut client, server) = rig.path().await.connect().await;
    let stall = json!({ "mode": "stall" });
    rig.inject("partition", stall, Scope::default()).await;
    client.write_all(b"anybody there?").await.unwrap();
    drop(client);
    let left = patiently(async {
        loop {
            let seen = rig.engine.connections("db".into(), 5).await.unwrap();
            if let Some(left) = seen.first().and_then(|one| one.carried.client_left) {
                break left;
            }
        }
    });
    let left = left.await;
    let lifted = rig.recorder.clock().now();
    rig.lift("partition").await;
    drop(server);
    let (cause, carried) = rig.fact(closed).await;
    assert_eq!((cause, carried.client_left), (ClosedBy::Client, Some(left)));
    assert!(left < lifted);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_does_not_wait_for_a_reader_while_a_fault_is_in_force_or_after_it() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    for in_force in [true, false] {
        let latency = json!({ "latency": "1ms" });
        rig.inject("latency", latency, Scope::default()).await;
        let (mut client, mut server) = path.connect().await;
        write_until_stuck(&mut client).await;
        if !in_force {
            rig.lift("latency").await;
        }
        reset(client);
        assert_eq!(rig.fact(closed).await.0, ClosedBy::Client);
        assert_eq!(read_to_end(&mut server).await.1, Err(ConnectionReset));
        if in_force {
            rig.lift("latency").await;
        }
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sender_whose_receiver_was_told_the_end_is_never_held_up() {
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    write_until_stuck(&mut client).await;
    let scope = Scope {
        direction: Ways::Upstream,
        ..Scope::default()
    };
    let half_close = json!({ "how": "half_close" });
    rig.inject("disconnect", half_close, scope).await;
    write_until_stuck(&mut client).await;
    assert_eq!(read_to_end(&mut server).await.1, Ok(()));
    let more = vec![0; 16 * MIB];
    patiently(client.write_all(&more)).await.unwrap();
    server.write_all(b"still there").await.unwrap();
    assert_eq!(read_n(&mut client, 11).await, b"still there");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_may_pass_are_not_lost_to_the_reset_behind_them() {
    let mut rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    let limit = json!({ "bytes": "1MiB", "how": "rst" });
    rig.inject("limit_data", limit, Scope::default()).await;
    let writer = tokio::spawn(async move { server.write_all(&vec![7; 2 * MIB]).await });
    let cut = |fact: &Fact| match fact {
        Fact::FaultHit { impact, .. } => (*impact == Impact::Closed).then_some(()),
        _ => None,
    };
    rig.fact(cut).await;
    let (bytes, end) = read_to_end(&mut client).await;
    assert_eq!((bytes.len(), end), (MIB, Err(ConnectionReset)));
    assert_eq!(rig.fact(closed).await.0, by("limit_data"));
    // It may have been done before the reset, or not.
    drop(patiently(writer).await);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_ended_a_connection_is_the_fault_that_did_whoever_had_half_closed_it() {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let limit = json!({ "bytes": "10B" });
    rig.inject("limit_data", limit, Scope::default()).await;
    let (mut client, mut server) = path.connect().await;
    client.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut server).await, (vec![], Ok(())));
    server.write_all(&[0; 20]).await.unwrap();
    assert_eq!(read_to_end(&mut client).await.0.len(), 10);
    drop((client, server));
    assert_eq!(rig.fact(closed).await.0, by("limit_data"));
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lifetime_ends_a_connection_that_is_still_dialled_or_kept_waiting() {
    let mut rig = Rig::new();
    let (proxy, _deaf) = in_front_of_the_deaf(&rig).await;
    let lifetime = json!({ "lifetime": "100ms" });
    rig.inject("limit_time", lifetime, Scope::default()).await;
    for delayed in [false, true] {
        if delayed {
            let delay = json!({ "delay": "1h" });
            let scope = Scope {
                affect: Affect::New,
                ..Scope::default()
            };
            rig.inject("accept_delay", delay, scope).await;
        }
        let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
        assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
        drop(client);
        assert_eq!(rig.fact(closed).await.0, by("limit_time"));
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_resets_while_its_server_is_dialled_is_let_go() {
    let mut rig = Rig::new();
    let (proxy, _deaf) = in_front_of_the_deaf(&rig).await;
    let client = patiently(TcpStream::connect(proxy)).await.unwrap();
    let opened = |fact: &Fact| matches!(fact, Fact::ConnectionOpened { .. }).then_some(());
    rig.fact(opened).await;
    reset(client);
    assert_eq!(rig.fact(closed).await.0, ClosedBy::Client);
    rig.engine.shutdown().await;
}
