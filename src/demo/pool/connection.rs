//! One connection: whether it can be used, and how it is closed.

use std::sync::Arc;

use tokio_postgres::Client;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::units::Moment;

/// An open connection. Dropping it closes the socket at once, whatever the other side does.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Arc<Client>,
    /// When it was last used.
    pub(super) idle_since: Moment,
    token: CancellationToken,
    guard: DropGuard,
}

impl Connection {
    /// Until `token` is cancelled, which ends the task that drives `client`.
    pub(super) fn new(client: Arc<Client>, token: CancellationToken) -> Self {
        Self {
            client,
            idle_since: Moment::ZERO,
            guard: token.clone().drop_guard(),
            token,
        }
    }

    /// Sends an empty query.
    pub(super) async fn ping(&self) -> Result<(), tokio_postgres::Error> {
        self.client.simple_query("SELECT 1").await.map(drop)
    }

    /// Whether it cannot be used: the driver has ended, or the database was lost.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_stale()
    }

    /// Whether the database was lost since it was opened; it is no longer counted.
    pub(super) fn is_stale(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Lets the driver close the session in the background instead of dropping the socket.
    pub(super) fn close_cleanly(self) {
        self.guard.disarm();
    }
}
