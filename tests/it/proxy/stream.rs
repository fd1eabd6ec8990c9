//! What flows through: every byte, in order, and no faster than it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chaosproxy::event::Fact;
use chaosproxy::fault::Scope;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::rig::{Rig, patiently};

const MIB: usize = 1 << 20;

/// Writes zeros until nothing has been taken for a while; returns how many were taken.
pub(super) async fn write_until_stuck(stream: &mut TcpStream) -> usize {
    let zeros = vec![0; 64 * 1024];
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_millis(300), stream.write(&zeros)).await {
        taken += written.unwrap();
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_stops_stops_the_writer() {
    let rig = Rig::new();
    let (mut client, mut server) = rig.path().await.connect().await;
    let taken = write_until_stuck(&mut client).await;
    // The kernel's own buffers on two connections, and ours.
    assert!(
        taken < 32 * MIB,
        "{taken} bytes were taken from a writer that nobody reads"
    );
    client.shutdown().await.unwrap();
    let mut read = 0;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match patiently(server.read(&mut buffer)).await.unwrap() {
            0 => break,
            n => read += n,
        }
    }
    assert_eq!(read, taken);
    rig.engine.shutdown().await;
}

/// A stream that repeats a block of random bytes of an odd length: any byte that is lost, doubled
/// or out of place shows.
#[derive(Clone)]
struct Pattern(Arc<[u8]>);

impl Pattern {
    fn new(seed: u64) -> Self {
        let mut block = vec![0; 1_048_573];
        ChaCha12Rng::seed_from_u64(seed).fill_bytes(&mut block);
        Self(block.into())
    }

    /// Writes at least `least` bytes and until `enough`, then the end; returns how many.
    async fn write(
        self,
        mut to: impl AsyncWrite + Unpin,
        least: usize,
        enough: Arc<AtomicBool>,
    ) -> usize {
        let mut written = 0;
        while written < least || !enough.load(Ordering::Relaxed) {
            let from = written % self.0.len();
            let piece = &self.0[from..self.0.len().min(from + 100_000)];
            written += to.write(piece).await.unwrap();
        }
        to.shutdown().await.unwrap();
        written
    }

    /// Reads to the end in pieces of at most `piece` bytes, and compares; returns how many.
    async fn read(self, mut from: impl AsyncRead + Unpin, piece: usize) -> usize {
        let mut buffer = vec![0; piece];
        let mut read = 0;
        loop {
            let at = read % self.0.len();
            let wanted = piece.min(self.0.len() - at);
            let n = from.read(&mut buffer[..wanted]).await.unwrap();
            if n == 0 {
                return read;
            }
            assert!(
                buffer[..n] == self.0[at..at + n],
                "other bytes after {read}"
            );
            read += n;
        }
    }
}

/// Streams both ways over one connection; returns the bytes that were written and read.
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
    let piece = if index.is_multiple_of(2) {
        256 * 1024
    } else {
        3_000
    };
    let spawned = (
        tokio::spawn(up.clone().write(to_server, least, Arc::clone(&enough))),
        tokio::spawn(up.read(from_client, piece)),
        tokio::spawn(down.clone().write(to_client, least, enough)),
        tokio::spawn(down.read(from_server, piece)),
    );
    [
        (spawned.0.await.unwrap(), spawned.1.await.unwrap()),
        (spawned.2.await.unwrap(), spawned.3.await.unwrap()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_exact_both_ways() {
    let rig = Rig::new();
    let ends = rig.path().await.connect().await;
    let enough = Arc::new(AtomicBool::new(true));
    let ways = patiently(stream_both_ways(ends, 0, 64 * MIB, enough)).await;
    for (written, read) in ways {
        assert!(written >= 64 * MIB);
        assert_eq!(written, read);
    }
    let stats = rig.engine.stats("db".into()).await.unwrap();
    assert_eq!(stats.bytes_upstream, ways[0].0 as u64);
    assert_eq!(stats.bytes_downstream, ways[1].0 as u64);
    assert_eq!(stats.accepted, 1);
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_exact_while_faults_come_and_go() {
    const CONNECTIONS: u64 = 4;
    const CHANGES: u32 = 100;
    let mut rig = Rig::new();
    let path = rig.path().await;
    let enough = Arc::new(AtomicBool::new(false));
    let mut streams = Vec::new();
    for index in 0..CONNECTIONS {
        let ends = path.connect().await;
        let least = 16 * MIB;
        streams.push(tokio::spawn(stream_both_ways(
            ends,
            index,
            least,
            Arc::clone(&enough),
        )));
    }

    let mut dice = ChaCha12Rng::seed_from_u64(1);
    for _ in 0..CHANGES {
        let (kind, params) = match dice.random_range(0..3) {
            0 => ("latency", json!({ "latency": "3ms" })),
            1 => ("latency", json!({ "latency": "5ms", "jitter": "4ms" })),
            _ => ("partition", json!({ "mode": "stall" })),
        };
        rig.inject(kind, params, Scope::default()).await;
        // Every connection feels it before it is lifted.
        let mut felt = 0;
        while felt < CONNECTIONS {
            felt += rig
                .fact(|fact| matches!(fact, Fact::FaultHit { .. }).then_some(1))
                .await;
        }
        rig.lift(kind).await;
    }
    enough.store(true, Ordering::Relaxed);

    let mut total = [0, 0];
    for stream in streams {
        let ways = patiently(stream).await.unwrap();
        for (way, (written, read)) in ways.into_iter().enumerate() {
            assert_eq!(written, read);
            total[way] += read;
        }
    }
    assert!(total.iter().all(|bytes| *bytes >= 64 * MIB), "{total:?}");
    rig.engine.shutdown().await;
}
