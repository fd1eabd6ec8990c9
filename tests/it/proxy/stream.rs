//! What flows through: every byte, in order, and no faster than it is read.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::pattern::Pattern;
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

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_exact_both_ways() {
    let rig = Rig::new();
    let (client, server) = rig.path().await.connect().await;
    let (from_server, to_server) = client.into_split();
    let (from_client, to_client) = server.into_split();
    let (up, down) = (Pattern::new(0), Pattern::new(1));
    let enough = Arc::new(AtomicBool::new(true));
    let ways = patiently(async {
        tokio::join!(
            up.clone().write(to_server, 64 * MIB, Arc::clone(&enough)),
            up.read(from_client, 256 * 1024),
            down.clone().write(to_client, 64 * MIB, enough),
            down.read(from_server, 256 * 1024),
        )
    });
    let (written_up, read_up, written_down, read_down) = ways.await;
    assert!(written_up >= 64 * MIB && written_down >= 64 * MIB);
    assert_eq!((written_up, written_down), (read_up, read_down));
    let stats = rig.engine.stats("db".into()).await.unwrap();
    assert_eq!(stats.bytes_upstream, read_up as u64);
    assert_eq!(stats.bytes_downstream, read_down as u64);
    assert_eq!(stats.accepted, 1);
    assert!(stats.chunks_upstream > 0 && stats.chunks_downstream > 0);
    let timed = stats.own.expect("some pieces are timed").samples;
    let pieces = stats.chunks_upstream + stats.chunks_downstream;
    assert!(timed <= pieces / 16 + 2, "{timed} of {pieces} pieces");
    assert_eq!(
        (stats.injected, stats.late),
        (None, None),
        "nothing was held"
    );
    rig.engine.shutdown().await;
}
