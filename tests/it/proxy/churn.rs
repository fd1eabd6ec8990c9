//! Every byte, in order, while faults come and go on live connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaosproxy::event::{Fact, Name};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pattern::Pattern;
use crate::support::rig::Rig;
use crate::support::tell;

const MIB: usize = 1 << 20;

/// Connections under churn. All feel each fault; each goes at a pace of its own.
const CONNECTIONS: u64 = 4;
/// Faults in force at once.
const AT_ONCE: usize = 3;

/// Faults that keep every byte, and let through enough of them to go on.
fn faults() -> Vec<(&'static str, Value)> {
    vec![
        ("latency", json!({ "latency": "3ms" })),
        ("latency", json!({ "latency": "5ms", "jitter": "4ms" })),
        ("partition", json!({ "mode": "stall" })),
        ("bandwidth", json!({ "rate": "20MB/s" })),
        ("slicer", json!({ "size": "9KiB", "variation": "8KiB" })),
        (
            "loss",
            json!({ "rate": "1%", "rtt": "1ms", "min_rto": "3ms" }),
        ),
        ("flap", json!({ "down": "2ms", "up": "3ms" })),
        (
            "link",
            json!({ "down": "30MB/s", "up": "10MB/s", "latency": "2ms", "loss": "1%" }),
        ),
    ]
}

/// Streams both ways over one connection; returns the bytes that were written and read. The
/// first connection is half closed early: its answers go on without questions.
async fn stream_both_ways(
    (client, server): (TcpStream, TcpStream),
    index: u64,
    least: usize,
    enough: Arc<AtomicBool>,
) -> [(usize, usize); 2] {
    let (from_server, to_server) = client.into_split();
    let (from_client, to_client) = server.into_split();
    let (up, down) = (Pattern::new(2 * index), Pattern::new(2 * index + 1));
    // Slow readers read little at a time.
    let piece = [3_000, 256 * 1024][usize::from(index == 0)];
    let (asked, until) = match index {
        0 => (least / 4, Arc::new(AtomicBool::new(true))),
        _ => (least, Arc::clone(&enough)),
    };
    let spawned = (
        tokio::spawn(up.clone().write(to_server, asked, until)),
        tokio::spawn(up.read(from_client, piece)),
        tokio::spawn(down.clone().write(to_client, least, Arc::clone(&enough))),
        tokio::spawn(down.read(from_server, piece)),
    );
    let questions = (spawned.0.await.unwrap(), spawned.1.await.unwrap());
    let half_closed = !enough.load(Ordering::Relaxed);
    assert_eq!(half_closed, index == 0, "connection {index}");
    [
        questions,
        (spawned.2.await.unwrap(), spawned.3.await.unwrap()),
    ]
}

/// Waits until every connection has felt a fault.
async fn felt_by_all(rig: &mut Rig, wanted: &Name) {
    let mut felt = BTreeSet::new();
    while felt.len() < usize::try_from(CONNECTIONS).unwrap() {
        let conn = rig.fact(|fact| match fact {
            Fact::FaultHit { fault, conn, .. } if fault == wanted => *conn,
            _ => None,
        });
        felt.insert(conn.await);
    }
}

/// Injects and lifts at random, several faults at once; returns how often each kind was felt by
/// every connection.
async fn change(rig: &mut Rig, changes: u32) -> Vec<usize> {
    let faults = faults();
    let mut dice = ChaCha12Rng::seed_from_u64(1);
    let mut felt = vec![0; faults.len()];
    let mut in_force: Vec<Name> = Vec::new();
    for change in 0..changes {
        let full = in_force.len() == AT_ONCE;
        if full || (!in_force.is_empty() && dice.random_bool(0.4)) {
            let fault = in_force.swap_remove(dice.random_range(0..in_force.len()));
            rig.lift(&fault).await;
            continue;
        }
        // One that comes alone is to be felt by everybody: each kind in turn.
        let index = if in_force.is_empty() {
            (0..faults.len()).min_by_key(|index| felt[*index]).unwrap()
        } else {
            dice.random_range(0..faults.len())
        };
        let (kind, params) = &faults[index];
        let fault = Name::from(format!("{kind}-{change}"));
        rig.inject_as(&fault, kind, params.clone()).await;
        if in_force.is_empty() {
            felt_by_all(rig, &fault).await;
            felt[index] += 1;
        }
        in_force.push(fault);
    }
    for fault in in_force {
        rig.lift(&fault).await;
    }
    felt
}

/// Streams at least `least` bytes each way of each connection while faults are changed; returns all
/// bytes together.
async fn churn(least: usize, changes: u32) -> usize {
    let mut rig = Rig::new();
    let path = rig.path().await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut streams = Vec::new();
    for index in 0..CONNECTIONS {
        let ends = path.connect().await;
        let stream = stream_both_ways(ends, index, least, Arc::clone(&enough));
        streams.push(tokio::spawn(stream));
    }
    let felt = change(&mut rig, changes).await;
    assert!(felt.iter().all(|times| *times > 0), "{felt:?}");
    enough.store(true, Ordering::Relaxed);

    let mut total = 0;
    for stream in streams {
        let ended = timeout(Duration::from_secs(600), stream).await;
        for (written, read) in ended.unwrap().unwrap() {
            assert_eq!(written, read);
            assert!(read >= least / 4);
            total += read;
        }
    }
    let stats = rig.engine.stats("db".into()).await.unwrap();
    let carried = stats.bytes_upstream + stats.bytes_downstream;
    assert_eq!(carried, total as u64);
    rig.engine.shutdown().await;
    total
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_exact_while_faults_come_and_go() {
    let total = churn(8 * MIB, 100).await;
    assert!(total >= 56 * MIB, "{total}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: `make test-long` runs it"]
async fn a_gigabyte_is_exact_through_a_thousand_changes_of_faults() {
    let total = churn(144 * MIB, 1_000).await;
    assert!(total >= 1024 * MIB, "{total}");
    tell(&format!("{} MiB through 1,000 changes", total / MIB));
}
