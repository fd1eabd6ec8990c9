//! Ports in the hands of a stranger.

use std::net::{TcpListener, ToSocketAddrs};
use std::time::Duration;

use chaosproxy::action::{Action, Protocol, ProxySpec};
use chaosproxy::engine::Reply;
use chaosproxy::event::{Fact, ServiceChange};
use chaosproxy::lab::port;
use chaosproxy::own::Strangers;
use chaosproxy::units::Reach;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::Bench;
use crate::support::postgres_is_there;
use crate::support::rig::patiently;

/// Long enough for an answer, if there were one.
const MOMENT: Duration = Duration::from_millis(100);

async fn knock(address: std::net::SocketAddr) -> std::io::Result<TcpStream> {
    patiently(TcpStream::connect(address)).await
}

/// A proxy `db` in front of `server`; tells where it listens.
async fn proxy(bench: &Bench, server: &tokio::net::TcpListener) -> std::net::SocketAddr {
    let spec = ProxySpec {
        name: "db".into(),
        protocol: Protocol::Tcp,
        listen: "127.0.0.1:0".parse().unwrap(),
        upstream: server.local_addr().unwrap().to_string(),
        reach: Reach::Loopback,
        dial_timeout: Duration::from_secs(5),
        keepalive: None,
        max_connections: 100,
    };
    match bench.engine.apply(Action::AddProxy(spec)).await.unwrap() {
        Reply::Listening(address) => address,
        Reply::Done(_) => panic!("the proxy does not listen"),
    }
}

#[tokio::test]
async fn a_port_is_seized_at_every_address_that_the_name_of_its_host_stands_for() {
    let mut bench = Bench::new().await;
    let address = port::free("127.0.0.1:0".parse().unwrap()).unwrap();
    let authority = format!("localhost:{}", address.port());
    let addresses: Vec<_> = authority.to_socket_addrs().unwrap().collect();
    let is_free = |address: &std::net::SocketAddr| TcpListener::bind(address).is_ok();
    let here: Vec<_> = addresses.into_iter().filter(is_free).collect();
    assert!(here.contains(&address), "{here:?}");
    bench.declare_at("x", address, &authority, &[]);
    let bound = json!({ "mode": "bound" });
    bench.inject("port_seizure", bound, &["x"]).await;
    assert!(!here.iter().any(is_free), "{here:?}");
    bench.lift("port_seizure").await;
    assert!(here.iter().all(is_free), "{here:?}");
    assert_eq!(bench.hits(), [""; 0], "nobody knocked");
    bench.shutdown().await;
}

#[tokio::test]
async fn a_seized_port_refuses_is_silent_closes_or_speaks_a_foreign_language() {
    let mut bench = Bench::new().await;
    let address = bench.declare("x", &[]);
    for mode in ["bound", "silent", "close", "foreign"] {
        bench
            .inject("port_seizure", json!({ "mode": mode }), &["x"])
            .await;
        assert!(TcpListener::bind(address).is_err(), "{mode}");
        let mut answer = [0; 8];
        match mode {
            "bound" => {
                let error = knock(address).await.unwrap_err();
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
            }
            "silent" => {
                let mut client = knock(address).await.unwrap();
                client.write_all(b"anybody?").await.unwrap();
                let read = timeout(MOMENT, client.read(&mut answer)).await;
                assert!(read.is_err(), "{read:?}");
            }
            "close" => {
                let mut client = knock(address).await.unwrap();
                assert_eq!(patiently(client.read(&mut answer)).await.unwrap(), 0);
            }
            _ => {
                let mut client = knock(address).await.unwrap();
                patiently(client.read_exact(&mut answer)).await.unwrap();
                assert_eq!(&answer, b"SSH-2.0-");
            }
        }
        bench.lift("port_seizure").await;
        let hits = bench.hits();
        assert!(mode == "bound" || hits == ["x"], "{mode}: {hits:?}");
        drop(TcpListener::bind(address).unwrap());
    }
    bench.shutdown().await;
}

#[tokio::test]
async fn each_client_that_a_bound_port_refuses_is_a_hit_or_it_is_said_that_none_can_be_seen() {
    let mut bench = Bench::new().await;
    let address = bench.declare("x", &[]);
    let bound = json!({ "mode": "bound" });
    bench.inject("port_seizure", bound, &["x"]).await;
    if Strangers::at(address).is_err() {
        let unseen = |fact: &Fact| matches!(fact, Fact::RefusalsUncounted { .. }).then_some(());
        bench.fact(unseen).await;
    } else {
        // It counts from a moment after the port is held.
        patiently(async {
            while bench.hits().is_empty() {
                assert!(knock(address).await.is_err());
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..3 {
            assert!(knock(address).await.is_err());
        }
        let hit = |fact: &Fact| matches!(fact, Fact::FaultHit { .. }).then_some(());
        for _ in 0..3 {
            bench.fact(hit).await;
        }
    }
    bench.lift("port_seizure").await;
    bench.shutdown().await;
}

#[tokio::test]
async fn a_seized_proxy_is_a_stranger_and_carries_again_when_it_is_given_back() {
    let mut bench = Bench::new().await;
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy(&bench, &server).await;
    let mut before = knock(address).await.unwrap();
    let (_behind, _) = patiently(server.accept()).await.unwrap();

    let close = json!({ "mode": "close" });
    bench.inject("port_seizure", close, &["db"]).await;
    assert_eq!(patiently(before.read(&mut [0])).await.unwrap(), 0);
    for _ in 0..3 {
        let mut client = knock(address).await.unwrap();
        assert_eq!(patiently(client.read(&mut [0])).await.unwrap(), 0);
    }
    bench.lift("port_seizure").await;
    assert_eq!(bench.hits(), ["db"; 3]);

    let mut client = knock(address).await.unwrap();
    let (mut behind, _) = patiently(server.accept()).await.unwrap();
    client.write_all(b"?").await.unwrap();
    assert_eq!(patiently(behind.read_u8()).await.unwrap(), b'?');
    bench.shutdown().await;
}

#[tokio::test]
async fn a_proxy_that_two_faults_seized_is_given_back_by_the_last() {
    let mut bench = Bench::new().await;
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy(&bench, &server).await;
    for fault in ["first", "second"] {
        let close = json!({ "mode": "close" });
        bench.inject_as(fault, "port_seizure", close, &["db"]).await;
    }
    bench.lift("first").await;
    // Whoever knocks meets the second one, once that holds the port, and never the server.
    patiently(async {
        while knock(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let hit = |fact: &Fact| matches!(fact, Fact::FaultHit { .. }).then_some(());
    bench.fact(hit).await;
    bench.lift("second").await;
    drop(knock(address).await.unwrap());
    patiently(server.accept()).await.unwrap();
    bench.shutdown().await;
}

#[tokio::test]
async fn what_chaosproxy_itself_asks_is_no_hit_and_takes_no_stranger_for_the_service() {
    for mode in ["silent", "close", "foreign"] {
        let mut bench = Bench::new().await;
        let address = bench.declare("x", &[]);
        let mode = json!({ "mode": mode });
        bench.inject("port_seizure", mode, &["x"]).await;
        let answers = timeout(MOMENT, bench.lab.answers("x")).await;
        assert!(answers.is_err(), "the stranger is not the service");
        assert_eq!(bench.hits(), [""; 0]);
        let mut client = knock(address).await.unwrap();
        client.write_all(b"anybody?").await.unwrap();
        let hit = |fact: &Fact| matches!(fact, Fact::FaultHit { .. }).then_some(());
        bench.fact(hit).await;
        bench.lift("port_seizure").await;
        assert_eq!(bench.hits(), [""; 0]);

        let _server = TcpListener::bind(address).unwrap();
        patiently(bench.lab.answers("x")).await.unwrap();
        bench.shutdown().await;
    }
}

#[tokio::test]
async fn a_server_that_is_restarted_loses_the_race_for_its_port() {
    let mut bench = Bench::new().await;
    let address = bench.start_server("x").await;
    let bound = json!({ "mode": "bound" });
    bench.inject("port_seizure", bound, &["x"]).await;
    // The server holds its port.
    drop(knock(address).await.unwrap());
    let terminate = json!({ "action": "terminate" });
    bench.inject("process", terminate, &["x"]).await;
    let ended = ServiceChange::Exited("exit code 0".to_owned());
    bench.change("x", &ended).await;
    bench.lift("process").await;
    let said = format!("Port {} already in use", address.port());
    bench.failure(&said).await;
    assert!(knock(address).await.is_err());
    bench.lift("port_seizure").await;
    bench.shutdown().await;
}

#[tokio::test]
async fn a_server_that_lost_the_race_for_its_port_is_not_ready_because_a_stranger_is() {
    let mut bench = Bench::new().await;
    let address = bench.start_server("x").await;
    bench.inject("port_seizure", json!({}), &["x"]).await;
    let restart = json!({ "action": "terminate" });
    bench.inject("process", restart, &["x"]).await;
    let ended = ServiceChange::Exited("exit code 0".to_owned());
    bench.change("x", &ended).await;
    // A starved machine may start a server before the seizure looks again.
    patiently(async {
        while knock(address).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    bench.lift("process").await;
    let failed = ServiceChange::Exited("exit code 1".to_owned());
    let failed = bench.fact(|fact| match fact {
        Fact::Service { change, .. } if *change == failed => Some(()),
        Fact::Service { change, .. } => {
            assert_ne!(*change, ServiceChange::Ready);
            None
        }
        _ => None,
    });
    failed.await;
    bench.lift("port_seizure").await;
    bench.shutdown().await;
}

#[tokio::test]
async fn a_port_that_never_becomes_free_is_reported_and_is_no_hit() {
    let mut bench = Bench::new().await;
    let address = bench.declare("x", &[]);
    let _owner = TcpListener::bind(address).unwrap();
    bench.inject("port_seizure", json!({}), &["x"]).await;
    bench.lift("port_seizure").await;
    let message = bench.trouble().await;
    let expected = format!("fault `port_seizure`: the port {address} was never held: ");
    assert!(message.starts_with(&expected), "{message}");
    bench.shutdown().await;
}

#[tokio::test]
async fn postgresql_meets_a_seized_port() {
    if !postgres_is_there().await {
        return;
    }
    let places = chaosproxy::lab::postgres::Places::of_this_machine();
    let programs = places.find().await.unwrap().display().to_string();
    let data = tempfile::tempdir().unwrap();
    let directory = data.path().display().to_string();
    let script = format!(
        "{programs}/initdb -D {directory}/data -N --auth=trust > {directory}/log && \
         exec {programs}/postgres -D {directory}/data -k '' -h 127.0.0.1 -p \"${{ADDRESS##*:}}\""
    );
    let script = format!("ADDRESS={{{{address}}}}; {script}");
    let mut command = vec!["/bin/sh", "-c", &script];
    let account = chaosproxy::sys::process::unprivileged_account().unwrap();
    if let Some(account) = account {
        std::os::unix::fs::chown(data.path(), Some(account.uid), Some(account.gid)).unwrap();
        // PostgreSQL refuses to run as root.
        command.splice(0..0, ["runuser", "-u", "postgres", "--"]);
    }
    let mut bench = Bench::new().await;
    bench.declare("pg", &command);
    bench.inject("port_seizure", json!({}), &["pg"]).await;
    bench.lab.start_service("pg").await.unwrap();
    bench.failure("Address already in use").await;
    bench.shutdown().await;
}
