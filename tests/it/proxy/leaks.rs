//! What many short connections leave behind: nothing.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use chaosproxy::event::Fact;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use super::reset;
use crate::support::processes::eventually;
use crate::support::rig::{Path, Rig, patiently, spec};
use crate::support::tell;

/// Clients at a time.
const CLIENTS: usize = 20;

/// How a short connection goes; the client's one byte tells the server.
#[derive(Clone, Copy)]
enum Visit {
    ClientEnds = 0,
    ServerEnds = 1,
    ClientResets = 2,
    ServerResets = 3,
    /// Nobody serves behind the proxy.
    NobodyThere = 4,
}

const VISITS: [Visit; 5] = [
    Visit::ClientEnds,
    Visit::ServerEnds,
    Visit::ClientResets,
    Visit::ServerResets,
    Visit::NobodyThere,
];

/// Answers the first byte as it asks for.
async fn serve(listener: TcpListener) {
    let mut guests = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        guests.spawn(async move {
            // One that was reset before it was read has nothing to ask for.
            let asked = stream.read_u8().await.unwrap_or(Visit::ClientResets as u8);
            if asked == Visit::ServerResets as u8 {
                reset(stream);
            } else if asked != Visit::ClientResets as u8 {
                stream.write_u8(asked).await.unwrap();
                if asked == Visit::ClientEnds as u8 {
                    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
                }
            }
        });
        while guests.try_join_next().is_some() {}
    }
}

/// One connection from its start to its end.
async fn visit(proxy: SocketAddr, dead: SocketAddr, visit: Visit) {
    let address = if matches!(visit, Visit::NobodyThere) {
        dead
    } else {
        proxy
    };
    let mut client = patiently(TcpStream::connect(address)).await.unwrap();
    client.write_u8(visit as u8).await.unwrap();
    let mut answer = Vec::new();
    match visit {
        Visit::ClientEnds => {
            assert_eq!(patiently(client.read_u8()).await.unwrap(), visit as u8);
            client.shutdown().await.unwrap();
            assert_eq!(patiently(client.read(&mut [0])).await.unwrap(), 0);
        }
        Visit::ServerEnds => {
            patiently(client.read_to_end(&mut answer)).await.unwrap();
            assert_eq!(answer, [visit as u8]);
        }
        Visit::ClientResets => reset(client),
        Visit::ServerResets => {
            let error = patiently(client.read_to_end(&mut answer))
                .await
                .unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        }
        Visit::NobodyThere => {
            patiently(client.read_to_end(&mut answer)).await.unwrap();
            assert_eq!(answer.len(), 0);
        }
    }
}

/// Makes `count` connections of every kind, and waits until all of them are reported as closed.
async fn visits(rig: &mut Rig, proxy: SocketAddr, dead: SocketAddr, count: usize) {
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        clients.spawn(async move {
            for index in (client..count).step_by(CLIENTS) {
                visit(proxy, dead, VISITS[index / CLIENTS % 5]).await;
            }
        });
    }
    let mut closed = 0;
    while closed < count {
        closed += rig
            .fact(|fact| matches!(fact, Fact::ConnectionClosed { .. }).then_some(1))
            .await;
    }
    clients.join_all().await;
}

/// What this process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    descriptors: usize,
    tasks: usize,
}

impl Held {
    fn now() -> Self {
        Self {
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let figure = line.unwrap().split_whitespace().nth(1);
    figure.unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "has the process for itself: `make test-long` runs it alone"]
async fn a_hundred_thousand_connections_leave_nothing_behind() {
    const WARM_UP: usize = 20_000;
    const COUNT: usize = 100_000;
    let mut rig = Rig::new();
    let Path { proxy, server } = rig.path_on(Ipv4Addr::new(127, 78, 0, 1)).await;
    tokio::spawn(serve(server));
    let nobody = chaosproxy::sys::net::listen("127.78.0.2:0".parse().unwrap()).unwrap();
    chaosproxy::sys::net::refuse(&nobody).unwrap();
    let dead = spec("dead", nobody.local_addr().unwrap());
    let dead = rig.add(dead).await.unwrap();
    let held = Held::now();

    // Some of them while every connection is a slow one.
    rig.inject_as(&"slow".into(), "latency", json!({ "latency": "1ms" }))
        .await;
    visits(&mut rig, proxy, dead, WARM_UP / 2).await;
    rig.lift("slow").await;
    visits(&mut rig, proxy, dead, WARM_UP / 2).await;
    let before = resident_kib();
    visits(&mut rig, proxy, dead, COUNT).await;
    let after = resident_kib();

    let soon = Duration::from_secs(10);
    eventually(soon, || Held::now() == held).await;
    assert_eq!(Held::now(), held);
    let mut accepted = 0;
    for name in ["db", "dead"] {
        let stats = rig.engine.stats(name.into()).await.unwrap();
        assert_eq!(stats.open, 0, "{name}");
        accepted += stats.accepted;
    }
    assert_eq!(accepted, (WARM_UP + COUNT) as u64);
    tell(&format!(
        "{COUNT} connections: {before} KiB before, {after} KiB after"
    ));
    // Less than 21 bytes a connection: what one of them keeps for good would be more.
    assert!(after < before + 2_048, "{before} KiB, then {after} KiB");
    rig.engine.shutdown().await;
}
