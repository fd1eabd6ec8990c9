use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};

use super::Look;
use crate::event::Outcome;

/// Opens a connection and closes it again: whether anybody listens, and no more.
#[derive(Debug)]
pub(super) struct Tcp {
    /// `host:port`.
    pub(super) address: String,
}

impl Look for Tcp {
    async fn look(&self, deadline: Duration) -> Outcome {
        match tokio::time::timeout(deadline, self.connect()).await {
            Ok(Ok(())) => Outcome::Ok { status: None },
            Ok(Err(error)) => Outcome::ConnectError {
                why: error.to_string(),
            },
            Err(_) => Outcome::Timeout,
        }
    }
}

impl Tcp {
    async fn connect(&self) -> std::io::Result<()> {
        let addresses: Vec<SocketAddr> = lookup_host(&self.address).await?.collect();
        TcpStream::connect(addresses.as_slice()).await.map(drop)
    }
}
