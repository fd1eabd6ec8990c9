//! A forwarder that can hang: bytes are held, connections stay open, nothing is said.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Open,
    Held,
}

pub(super) struct Wire {
    flow: watch::Sender<Flow>,
    task: JoinHandle<()>,
}

impl Wire {
    /// Forwards from `port` of the loopback interface to `upstream`.
    pub(super) async fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port)));
        let listener = listener.await.unwrap();
        let (flow, seen) = watch::channel(Flow::Open);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, upstream, seen.clone()));
            }
        });
        Self { flow, task }
    }

    /// From now on nobody listens; connections that are there stay.
    pub(super) async fn refuse(&mut self) {
        self.task.abort();
        let ended = (&mut self.task).await;
        assert!(ended.unwrap_err().is_cancelled());
    }

    pub(super) fn hold(&self) {
        self.flow.send_replace(Flow::Held);
    }

    /// Lets what was held arrive late.
    pub(super) fn release(&self) {
        self.flow.send_replace(Flow::Open);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, upstream: u16, flow: watch::Receiver<Flow>) {
    let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(
        pump(from_client, to_server, flow.clone()),
        pump(from_server, to_client, flow),
    );
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut flow: watch::Receiver<Flow>,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if flow.wait_for(|flow| *flow == Flow::Open).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
    drop(flow.wait_for(|flow| *flow == Flow::Open).await);
    drop(to.shutdown().await);
}
