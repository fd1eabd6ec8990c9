//! Too much of everything: whoever has a connection keeps it, and its pace.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use chaosproxy::action::{Action, Injection, ProxySpec};
use chaosproxy::event::{ClosedBy, Fact};
use chaosproxy::fault::Scope;
use chaosproxy::units::Clock;
use serde_json::json;
use tokio::task::JoinSet;

use super::stream::write_until_stuck;
use super::{Deaf, read_to_end};
use crate::support::rig::{Rig, patiently, spec};
use crate::support::{bound, tell};

/// Round trips may take this many times as long as before. It catches what waits for something,
/// not what costs a little.
const SLOWER: u32 = 10;
/// What takes no longer than this waits for nothing but a processor.
const NEVER_SLOW: Duration = Duration::from_micros(500);
/// Connections whose pace is measured.
const MEASURED: usize = 10;

/// Tells the crowd where to go and how many they are.
const CROWD_AT: &str = "CHAOSPROXY_TEST_CROWD_AT";
const CROWD_SIZE: &str = "CHAOSPROXY_TEST_CROWD_SIZE";

/// A server that gives back what it gets, on threads of its own.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                // A client that resets is gone; that is all.
                std::io::copy(&mut &stream, &mut &stream).ok();
            });
        }
    });
    address
}

fn connected(proxy: SocketAddr) -> Vec<TcpStream> {
    let connections = (0..MEASURED).map(|_| {
        let stream = TcpStream::connect(proxy).unwrap();
        stream.set_nodelay(true).unwrap();
        let patience = Some(Duration::from_secs(20));
        stream.set_read_timeout(patience).unwrap();
        stream
    });
    connections.collect()
}

/// The median and the 95th percentile of round trips of 64 bytes, on a thread of their own.
async fn pace(connections: &[TcpStream]) -> [Duration; 2] {
    const ROUNDS: usize = 100;
    let connections: Vec<_> = connections
        .iter()
        .map(|one| one.try_clone().unwrap())
        .collect();
    let measured = tokio::task::spawn_blocking(move || {
        let clock = Clock::start();
        let mut took = Vec::new();
        for round in 0..ROUNDS {
            for mut stream in &connections {
                let message = [u8::try_from(round).unwrap(); 64];
                let sent = clock.now();
                stream.write_all(&message).unwrap();
                let mut answer = [0; 64];
                stream.read_exact(&mut answer).unwrap();
                took.push(clock.now().since(sent));
                assert_eq!(answer, message);
            }
        }
        took.sort_unstable();
        [took[took.len() / 2], took[took.len() * 95 / 100]]
    });
    measured.await.unwrap()
}

/// Asserts that the pace under a burden is the one that it was. The machine may be busy otherwise:
/// of a few looks one has to find it so.
async fn assert_keeps_pace(what: &str, before: [Duration; 2], connections: &[TcpStream]) {
    let mut seen = Vec::new();
    for _ in 0..5 {
        let now = pace(connections).await;
        seen.push(now);
        let keeps = |which: usize| now[which] <= NEVER_SLOW.max(before[which] * SLOWER);
        if (0..2).all(keeps) {
            tell(&format!(
                "{what}: median and 95th percentile {before:?}, then {now:?}"
            ));
            return;
        }
    }
    panic!("{what}: {before:?} became {seen:?}");
}

/// Clients in a process of their own, until this is dropped.
struct Crowd {
    child: Child,
    _told: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    /// Starts `size` clients that knock at `proxy`, and waits until each of them has knocked.
    fn start(proxy: SocketAddr, size: usize) -> Self {
        let mut child = bound(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "proxy::overload::crowd",
                "--ignored",
                "--nocapture",
            ])
            .env(CROWD_AT, proxy.to_string())
            .env(CROWD_SIZE, size.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let there = told.any(|line| line.unwrap().contains("everybody has knocked"));
        assert!(there, "the crowd did not come");
        Self { child, _told: told }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // The end of its input tells it to go.
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}

#[tokio::test]
#[ignore = "not a test of its own: the others start it as a crowd of clients"]
async fn crowd() {
    let Ok(address) = std::env::var(CROWD_AT) else {
        return;
    };
    let size: usize = std::env::var(CROWD_SIZE).unwrap().parse().unwrap();
    let knocked = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for _ in 0..size {
        let (address, knocked) = (address.clone(), Arc::clone(&knocked));
        clients.spawn(async move {
            let mut first = true;
            loop {
                if let Ok(mut stream) = tokio::net::TcpStream::connect(&*address).await {
                    if std::mem::take(&mut first) {
                        knocked.fetch_add(1, Ordering::Relaxed);
                    }
                    // Stays for as long as it may.
                    drop(read_until_end(&mut stream).await);
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    while knocked.load(Ordering::Relaxed) < size as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(std::io::stdout().write_all(b"everybody has knocked\n"));
    let told_to_go = tokio::task::spawn_blocking(|| std::io::stdin().read(&mut [0]));
    drop(told_to_go.await);
}

async fn read_until_end(stream: &mut tokio::net::TcpStream) -> std::io::Result<u64> {
    tokio::io::copy(stream, &mut tokio::io::sink()).await
}

/// Clients of a proxy whose server hangs.
async fn clients_of_a_server_that_hangs(rig: &Rig) -> (Deaf, Vec<tokio::net::TcpStream>) {
    let deaf = Deaf::start().await;
    let hanging = ProxySpec {
        dial_timeout: Duration::from_millis(500),
        ..spec("hung", deaf.address)
    };
    let hanging = rig.add(hanging).await.unwrap();
    let mut waiting = Vec::new();
    for _ in 0..50 {
        let client = tokio::net::TcpStream::connect(hanging);
        waiting.push(patiently(client).await.unwrap());
    }
    (deaf, waiting)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_connected_keeps_the_pace_while_the_house_is_full() {
    const LIMIT: usize = 100;
    const CROWDS: usize = 2;
    let mut rig = Rig::new();
    let proxy = ProxySpec {
        max_connections: LIMIT,
        ..spec("db", echo())
    };
    let proxy = rig.add(proxy).await.unwrap();
    let connections = connected(proxy);
    let before = pace(&connections).await;

    let (_hung, waiting) = clients_of_a_server_that_hangs(&rig).await;

    // A client that reads a byte a second of what a server pours out.
    let fountain = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let slow = spec("slow", fountain.local_addr().unwrap());
    let slow = rig.add(slow).await.unwrap();
    let mut sipping = patiently(tokio::net::TcpStream::connect(slow))
        .await
        .unwrap();
    let (mut pouring, _) = patiently(fountain.accept()).await.unwrap();
    let sips = tokio::spawn(async move {
        loop {
            tokio::io::AsyncReadExt::read_u8(&mut sipping)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });

    let crowds: Vec<_> = (0..CROWDS).map(|_| Crowd::start(proxy, LIMIT)).collect();
    let mut turned_away = 0;
    while turned_away < (CROWDS - 1) * LIMIT {
        turned_away += rig
            .fact(|fact| match fact {
                Fact::ConnectionClosed { cause, .. } => (*cause == ClosedBy::Limit).then_some(1),
                _ => None,
            })
            .await;
    }
    let full = rig.engine.stats("db".into()).await.unwrap();
    // One more counts for the moment in which it is turned away.
    assert!(
        (LIMIT as u64..=LIMIT as u64 + 1).contains(&full.open),
        "{full:?}"
    );
    assert_keeps_pace("a full house", before, &connections).await;
    let poured = write_until_stuck(&mut pouring).await;
    assert!(
        poured < 32 << 20,
        "{poured} bytes for a client that does not read"
    );
    for mut client in waiting {
        assert_eq!(read_to_end(&mut client).await, (vec![], Ok(())));
    }

    drop(crowds);
    sips.abort();
    drop(connections);
    // Every place becomes free again.
    let mut open = LIMIT as u64;
    while open > 0 {
        rig.fact(|fact| matches!(fact, Fact::ConnectionClosed { .. }).then_some(()))
            .await;
        open = rig.engine.stats("db".into()).await.unwrap().open;
    }
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_changes_leaves_the_bytes_their_pace() {
    let rig = Rig::new();
    let proxy = rig.add(spec("db", echo())).await.unwrap();
    rig.add(spec("other", "127.0.0.1:1")).await.unwrap();
    let connections = connected(proxy);
    let before = pace(&connections).await;

    let (changes, enough) = (
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicBool::new(false)),
    );
    let flood = (0..4).map(|index| {
        let (engine, changes, enough) = (rig.engine.clone(), changes.clone(), enough.clone());
        tokio::spawn(async move {
            let fault = chaosproxy::event::Name::from(format!("f{index}"));
            while !enough.load(Ordering::Relaxed) {
                let injection = Injection {
                    fault: fault.clone(),
                    occurrence: 0,
                    kind: "latency".to_owned(),
                    params: json!({ "latency": "1h" }),
                    targets: vec!["other".into()],
                    scope: Scope::default(),
                };
                engine.apply(Action::Inject(injection)).await.unwrap();
                engine.stats("db".into()).await.unwrap();
                let fault = fault.clone();
                engine.apply(Action::Lift { fault }).await.unwrap();
                changes.fetch_add(2, Ordering::Relaxed);
            }
        })
    });
    let flood: Vec<_> = flood.collect();
    assert_keeps_pace("a flood of changes", before, &connections).await;
    enough.store(true, Ordering::Relaxed);
    for one in flood {
        one.await.unwrap();
    }
    let changes = changes.load(Ordering::Relaxed);
    tell(&format!("{changes} changes"));
    assert!(changes > 100, "{changes} changes are no flood");
    rig.engine.shutdown().await;
}
