//! Streams in which every byte that is lost, doubled or out of place shows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A block of random bytes of an odd length, over and over.
#[derive(Clone)]
pub(super) struct Pattern {
    block: Arc<[u8]>,
    seed: u64,
}

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        let mut block = vec![0; 1_048_573];
        ChaCha12Rng::seed_from_u64(seed).fill_bytes(&mut block);
        Self {
            block: block.into(),
            seed,
        }
    }

    /// Writes at least `least` bytes and until `enough`, then the end; returns how many. Half of
    /// the pieces are tiny, the others huge.
    pub(super) async fn write(
        self,
        mut to: impl AsyncWrite + Unpin,
        least: usize,
        enough: Arc<AtomicBool>,
    ) -> usize {
        let mut dice = ChaCha12Rng::seed_from_u64(!self.seed);
        let mut written = 0;
        while written < least || !enough.load(Ordering::Relaxed) {
            let length = match dice.random_range(0..2) {
                0 => dice.random_range(1..16),
                _ => dice.random_range(50_000..1_000_000),
            };
            let from = written % self.block.len();
            let piece = &self.block[from..self.block.len().min(from + length)];
            written += to.write(piece).await.unwrap();
        }
        to.shutdown().await.unwrap();
        written
    }

    /// Reads to the end in pieces of at most `piece` bytes, and compares; returns how many.
    pub(super) async fn read(self, mut from: impl AsyncRead + Unpin, piece: usize) -> usize {
        let mut buffer = vec![0; piece];
        let mut read = 0;
        loop {
            let at = read % self.block.len();
            let wanted = piece.min(self.block.len() - at);
            let n = from.read(&mut buffer[..wanted]).await.unwrap();
            if n == 0 {
                return read;
            }
            assert!(
                buffer[..n] == self.block[at..at + n],
                "other bytes after {read}"
            );
            read += n;
        }
    }
}
