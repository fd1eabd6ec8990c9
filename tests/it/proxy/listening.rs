//! Ports: busy, limited, stormed, and the descriptors that must not be left behind.

use std::net::{Ipv4Addr, SocketAddr};

use chaosproxy::action::{Action, ProxySpec};
use chaosproxy::event::{ClosedBy, Fact};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::read_to_end;
use crate::support::rig::{Path, Rig, patiently, spec};
use crate::support::{bound, exe};

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_port_is_named_with_what_to_do() {
    let rig = Rig::new();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = taken.local_addr().unwrap();
    let spec = ProxySpec {
        listen: addr,
        ..spec("db", addr)
    };
    let error = rig.add(spec).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{addr} is already in use by another process; stop it, or give the proxy another \
             `listen` address"
        )
    );
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_checked_before_anything_is_done() {
    let rig = Rig::new();
    rig.path().await;
    let twice = rig.add(spec("db", "127.0.0.1:1")).await.unwrap_err();
    assert_eq!(twice.to_string(), "a proxy named `db` exists already");
    let proxy = "bd".into();
    let unknown = rig
        .engine
        .apply(Action::Disable { proxy })
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "no proxy is named `bd`; there is `db`");
    let fault = "cut".into();
    let unknown = rig.engine.apply(Action::Lift { fault }).await.unwrap_err();
    assert_eq!(unknown.to_string(), "no fault named `cut` is in force");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_are_closed_at_once() {
    let mut rig = Rig::new();
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let spec = ProxySpec {
        max_connections: 2,
        ..spec("db", server.local_addr().unwrap())
    };
    let proxy = rig.add(spec).await.unwrap();
    let path = Path { proxy, server };
    let _served = (path.connect().await, path.connect().await);
    let mut third = patiently(TcpStream::connect(proxy)).await.unwrap();
    assert_eq!(read_to_end(&mut third).await, (vec![], Ok(())));
    let (conn, cause) = rig
        .fact(|fact| match fact {
            Fact::ConnectionClosed { conn, cause, .. } => Some((*conn, cause.clone())),
            _ => None,
        })
        .await;
    assert_eq!((conn, cause), (2, ClosedBy::Limit));
    rig.engine.shutdown().await;
}

/// The program itself, because a lower limit would hold for every other test of this process.
#[tokio::test(flavor = "multi_thread")]
async fn descriptors_bound_the_connections_of_all_proxies_together() {
    const DESCRIPTORS: usize = 300;
    const SERVED: usize = (DESCRIPTORS - 200) / 2;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = listener.local_addr().unwrap();
    let ports = [(); 2].map(|()| chaosproxy::lab::port::free(upstream).unwrap());
    let proxy = |(name, listen): (&&str, _)| {
        format!("[[proxy]]\nname = \"{name}\"\nlisten = \"{listen}\"\nupstream = \"{upstream}\"\n")
    };
    let proxies: Vec<_> = ["first", "second"].iter().zip(ports).map(proxy).collect();
    let opening = "[scenario]\ntitle = \"two proxies\"\nduration = \"1h\"\n";
    let scenario = opening.to_owned() + &proxies.concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scenario.toml");
    std::fs::write(&file, scenario).unwrap();
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$@\"");
    let _run = tokio::process::Command::from(bound("sh"))
        .args(["-c", &limited, "sh"])
        .arg(exe())
        .args(["--quiet", "run", "--record"])
        .arg(file)
        .arg("--report-dir")
        .arg(folder.path().join("report"))
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let greeting = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"!").await.unwrap();
            held.push(stream);
        }
    });

    let mut held = Vec::new();
    let (mut served, mut turned_away) = (0, 0);
    while served + turned_away < SERVED + 10 {
        let port = ports[held.len() % ports.len()];
        // Until it listens, nobody answers; then everybody gets an answer.
        let Ok(mut client) = TcpStream::connect(port).await else {
            tokio::task::yield_now().await;
            continue;
        };
        match patiently(client.read_u8()).await {
            Ok(_) => served += 1,
            Err(_) => turned_away += 1,
        }
        held.push(client);
    }
    assert_eq!((served, turned_away), (SERVED, 10));
    greeting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_pass_over_ipv6() {
    let rig = Rig::new();
    let server = TcpListener::bind("[::1]:0").await.unwrap();
    let spec = ProxySpec {
        listen: "[::1]:0".parse().unwrap(),
        ..spec("db", server.local_addr().unwrap())
    };
    let proxy = rig.add(spec).await.unwrap();
    assert!(proxy.is_ipv6());
    let (mut client, mut server) = Path { proxy, server }.connect().await;
    client.write_all(b"hello").await.unwrap();
    assert_eq!(super::read_n(&mut server, 5).await, b"hello");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disabled_proxy_refuses_and_an_enabled_one_serves_at_the_same_port() {
    let rig = Rig::new();
    let path = rig.path().await;
    let (mut client, _server) = path.connect().await;
    let proxy = "db".into();
    rig.engine.apply(Action::Disable { proxy }).await.unwrap();
    assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    let refused = TcpStream::connect(path.proxy).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let proxy = "db".into();
    rig.engine.apply(Action::Enable { proxy }).await.unwrap();
    path.connect().await;
    rig.engine.shutdown().await;
}

/// TCP sockets with an end at `ip` that a process still holds open, listeners aside.
fn sockets_at(ip: Ipv4Addr) -> usize {
    const LISTEN: &str = "0A";
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let ip = format!("{:08X}:", u32::from_le_bytes(ip.octets()));
    let held = |line: &&str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ours = fields[1].starts_with(&ip) || fields[2].starts_with(&ip);
        ours && fields[3] != LISTEN && fields[9] != "0"
    };
    table.lines().skip(1).filter(held).count()
}

fn open_descriptors() -> u64 {
    std::fs::read_dir("/proc/self/fd").unwrap().count() as u64
}

async fn knock(proxy: SocketAddr, message: [u8; 8]) {
    let mut client = patiently(TcpStream::connect(proxy)).await.unwrap();
    client.write_all(&message).await.unwrap();
    client.shutdown().await.unwrap();
    let mut echo = Vec::new();
    patiently(client.read_to_end(&mut echo)).await.unwrap();
    assert_eq!(echo, message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_connections_leaves_nothing_open() {
    /// No other test uses it.
    const OWN: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);
    const CLIENTS: u64 = 20;
    const EACH: u64 = 250;
    let mut rig = Rig::new();
    let path = rig.path_on(OWN).await;
    let descriptors = open_descriptors();
    let ends = path.connect().await;
    assert_eq!(sockets_at(OWN), 4, "a connection has two legs of two ends");
    drop(ends);

    let server = tokio::spawn(async move {
        let mut echoes = JoinSet::new();
        for _ in 0..CLIENTS * EACH {
            let (mut stream, _) = path.server.accept().await.unwrap();
            echoes.spawn(async move {
                let (mut read, mut write) = stream.split();
                tokio::io::copy(&mut read, &mut write).await.unwrap();
            });
        }
        assert_eq!(echoes.join_all().await.len() as u64, CLIENTS * EACH);
    });
    let clients = (0..CLIENTS).map(|client| {
        tokio::spawn(async move {
            for round in 0..EACH {
                knock(path.proxy, (client * EACH + round).to_le_bytes()).await;
            }
        })
    });
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    server.await.unwrap();
    let mut closed = 0;
    while closed < 1 + CLIENTS * EACH {
        closed += rig
            .fact(|fact| matches!(fact, Fact::ConnectionClosed { .. }).then_some(1))
            .await;
    }
    assert_eq!(sockets_at(OWN), 0);
    // Tests beside this one open some too, but not one for each connection here.
    assert!(open_descriptors() < descriptors + CLIENTS * EACH / 2);
    let stats = rig.engine.stats("db".into()).await.unwrap();
    assert_eq!(stats.accepted, 1 + CLIENTS * EACH);
    assert_eq!(stats.bytes_upstream, CLIENTS * EACH * 8);
    assert_eq!(stats.bytes_downstream, CLIENTS * EACH * 8);
    rig.engine.shutdown().await;
}
