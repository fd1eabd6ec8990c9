use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::provision::Stage;
use crate::action::Protocol;
use crate::event::{Fact, Name, Recorder};
use crate::lab::Lab;

/// Time between two side probes.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// A path that does not answer for so long is reported as not open.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);
/// `SSLRequest` of the PostgreSQL protocol: length 8, code 80877103. Any server answers it with one
/// byte, before it asks who is there, so that no credentials are needed.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// The way to what a fault acted on.
pub(super) struct Way {
    recorder: Recorder,
    lab: Arc<Lab>,
    target: Name,
    /// Where to knock, if the target is a proxy.
    proxy: Option<(SocketAddr, Protocol)>,
    fault: Name,
}

impl Way {
    pub(super) fn to(stage: &Stage<'_>, target: &Name, fault: &Name) -> Self {
        Self {
            recorder: stage.recorder().clone(),
            lab: Arc::clone(stage.lab()),
            target: target.clone(),
            proxy: stage.proxy(target),
            fault: fault.clone(),
        }
    }

    /// Probes it in the background until an answer comes back, and records that moment: only from
    /// then on is a server's recovery its own affair.
    pub(super) fn watch_until_open(self) {
        tokio::spawn(async move {
            if tokio::time::timeout(GIVE_UP_AFTER, self.open()).await == Ok(true) {
                self.recorder.record(Fact::PathOpen {
                    proxy: self.target,
                    fault: self.fault,
                });
            }
        });
    }

    async fn open(&self) -> bool {
        let Some((address, protocol)) = self.proxy else {
            return self.lab.answers(&self.target).await.is_ok();
        };
        while self.probe(address, protocol).await.is_err() {
            tokio::time::sleep(PROBE_EVERY).await;
        }
        true
    }

    /// One try: connects, asks, waits for the answer.
    async fn probe(&self, address: SocketAddr, protocol: Protocol) -> std::io::Result<()> {
        let connected = self.lab.ports().connect(address);
        let mut stream = tokio::time::timeout(GIVE_UP_AFTER, connected).await??;
        match protocol {
            Protocol::Postgres => {
                stream.write_all(&SSL_REQUEST).await?;
                let mut answer = [0];
                let read = stream.read_exact(&mut answer);
                tokio::time::timeout(Duration::from_secs(1), read).await??;
            }
            // Nothing that every server answers: an accepted connection that stays is all there
            // is.
            Protocol::Tcp | Protocol::Http => {
                let mut byte = [0];
                let ended = tokio::time::timeout(PROBE_EVERY, stream.read(&mut byte)).await;
                if matches!(ended, Ok(Ok(0) | Err(_))) {
                    return Err(std::io::ErrorKind::ConnectionReset.into());
                }
            }
        }
        Ok(())
    }
}
