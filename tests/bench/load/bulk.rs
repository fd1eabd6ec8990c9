//! Bytes in one direction, as many as go through.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use chaosproxy::units::{Clock, Moment};

use super::{Outcome, pause};

/// Bytes per call, as many as iperf3's.
const PIECE: usize = 128 * 1024;
/// A stream that stands still for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);
/// Windows grow before bytes are counted.
const WARM_UP: Duration = Duration::from_millis(100);

/// Which way the bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// Swallows what clients send, or sends until they leave; counts what was received.
#[derive(Debug)]
pub(crate) struct Depot {
    pub(crate) way: Way,
    pub(crate) address: SocketAddr,
    received: Arc<AtomicU64>,
}

impl Depot {
    /// Serves until the program ends.
    pub(crate) fn serve(way: Way) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let received = Arc::new(AtomicU64::new(0));
        let depot = Self {
            way,
            address: listener.local_addr()?,
            received: Arc::clone(&received),
        };
        thread::Builder::new()
            .name("depot".to_owned())
            .spawn(move || {
                for stream in listener.incoming().flatten() {
                    let received = Arc::clone(&received);
                    thread::spawn(move || match way {
                        Way::Up => receive(&stream, &received),
                        Way::Down => send(&stream, &AtomicBool::new(false)),
                    });
                }
            })?;
        Ok(depot)
    }

    /// Lets `streams` streams flow through `at`, which leads here, for `time`.
    pub(crate) fn flow(
        &self,
        at: SocketAddr,
        streams: usize,
        time: Duration,
    ) -> anyhow::Result<Outcome> {
        let clock = Clock::start();
        let stop = AtomicBool::new(false);
        let streams: Vec<TcpStream> = (0..streams)
            .map(|_| {
                let stream = TcpStream::connect(at)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(stream)
            })
            .collect::<io::Result<_>>()?;
        thread::scope(|scope| {
            for stream in &streams {
                let (stop, received) = (&stop, &self.received);
                scope.spawn(move || match self.way {
                    Way::Up => send(stream, stop),
                    Way::Down => receive(stream, received),
                });
            }
            pause(WARM_UP);
            let (begun, before) = (clock.now(), self.received.load(Ordering::Relaxed));
            pause(time);
            let outcome = Outcome {
                units: self.received.load(Ordering::Relaxed) - before,
                time: clock.now().since(begun),
                p99: None,
            };
            stop.store(true, Ordering::Relaxed);
            for stream in &streams {
                // One that its peer has closed needs no end.
                drop(stream.shutdown(Shutdown::Both));
            }
            anyhow::ensure!(outcome.units > 0, "no byte came through {at}");
            Ok(outcome)
        })
    }
}

/// Writes until told to stop or the peer is gone.
fn send(mut stream: &TcpStream, stop: &AtomicBool) {
    let piece = vec![b'x'; PIECE];
    while !stop.load(Ordering::Relaxed) && stream.write_all(&piece).is_ok() {}
}

/// Reads to the end.
fn receive(mut stream: &TcpStream, received: &AtomicU64) {
    let mut piece = vec![0; PIECE];
    while let Ok(n @ 1..) = stream.read(&mut piece) {
        received.fetch_add(n as u64, Ordering::Relaxed);
    }
}

/// Bytes per second that come from a source that `at` leads to, in `count` windows of `window`, one
/// after the other, each from one arrival to another.
pub(crate) fn rates(at: SocketAddr, window: Duration, count: usize) -> anyhow::Result<Vec<f64>> {
    let clock = Clock::start();
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut piece = vec![0; PIECE];
    let mut rates = Vec::new();
    let mut begun = None;
    let mut received = 0;
    while rates.len() < count {
        let n = stream.read(&mut piece)?;
        anyhow::ensure!(n > 0, "the stream ended");
        let now = clock.now();
        received += n;
        match begun {
            None if now.since(Moment::ZERO) < WARM_UP => {}
            Some(begun) if now.since(begun) < window => {}
            _ => {
                rates.extend(begun.map(|begun| received as f64 / now.since(begun).as_secs_f64()));
                begun = Some(now);
                received = 0;
            }
        }
    }
    Ok(rates)
}

/// How long the first `bytes` bytes take from a source that `at` leads to, counted from the
/// connection.
pub(crate) fn fetch(at: SocketAddr, bytes: usize) -> anyhow::Result<Duration> {
    let clock = Clock::start();
    let mut stream = TcpStream::connect(at)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut piece = vec![0; PIECE];
    let mut left = bytes;
    while left > 0 {
        let most = left.min(PIECE);
        let n = stream.read(&mut piece[..most])?;
        anyhow::ensure!(n > 0, "the stream ended {left} bytes too early");
        left -= n;
    }
    Ok(clock.now().since(Moment::ZERO))
}
