//! The data plane over real sockets.

mod churn;
mod connections;
mod endings;
mod faults;
mod kinds;
mod leaks;
mod listening;
mod options;
mod overload;
mod pattern;
mod postgres;
mod speed;
mod stream;

use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::rig::patiently;

/// The next `n` bytes.
async fn read_n(stream: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    patiently(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Everything up to the end, and how it ended.
async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = patiently(stream.read_to_end(&mut bytes)).await;
    (bytes, end.map(|_| ()).map_err(|error| error.kind()))
}

fn reset(stream: TcpStream) {
    chaosproxy::sys::net::reset_on_close(&stream).unwrap();
    drop(stream);
}
