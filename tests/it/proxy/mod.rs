//! The data plane over real sockets.

mod churn;
mod connections;
mod cut_short;
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
use std::net::SocketAddr;

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::support::rig::patiently;

/// The next `n` bytes.
pub(crate) async fn read_n(stream: &mut TcpStream, n: usize) -> Vec<u8> {
    let mut bytes = vec![0; n];
    patiently(stream.read_exact(&mut bytes)).await.unwrap();
    bytes
}

/// Everything up to the end, and how it ended.
pub(crate) async fn read_to_end(stream: &mut TcpStream) -> (Vec<u8>, Result<(), io::ErrorKind>) {
    let mut bytes = Vec::new();
    let end = patiently(stream.read_to_end(&mut bytes)).await;
    (bytes, end.map(|_| ()).map_err(|error| error.kind()))
}

/// A server that never answers a SYN, because the queue of its port is full.
struct Deaf {
    address: SocketAddr,
    _listener: TcpListener,
    _queued: TcpStream,
}

impl Deaf {
    async fn start() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        Self {
            address,
            _listener: listener,
            _queued: patiently(TcpStream::connect(address)).await.unwrap(),
        }
    }
}

fn reset(stream: TcpStream) {
    chaosproxy::sys::net::reset_on_close(&stream).unwrap();
    drop(stream);
}
