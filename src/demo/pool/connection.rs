//! One connection: what is sent over it, and how it is closed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::shared::Shared;
use crate::units::Moment;

/// Why a connection could not be made.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// The database or the network refused.
    #[error("{}", with_causes(.0))]
    Refused(#[from] tokio_postgres::Error),
    /// No answer in time.
    #[error("timed out after {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The database has tables of another version.
    #[error("{0}")]
    Unfit(String),
}

/// An open connection. Dropping it closes the socket at once, whatever the other side does.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) client: Arc<Client>,
    /// Since when nobody has used it.
    pub(super) idle_since: Moment,
    token: CancellationToken,
    guard: DropGuard,
}

impl Connection {
    /// Connects and has one query answered, all within one deadline: a server may accept and then
    /// hang. The socket is closed when `epoch` is cancelled.
    pub(super) async fn open(
        config: &Config,
        epoch: &CancellationToken,
        shared: &Shared,
    ) -> Result<Self, DialError> {
        let deadline = shared.settings.connect_timeout.get();
        let attempt = async {
            let (client, driver) = config.connect(NoTls).await?;
            let client = Arc::new(client);
            let token = epoch.child_token();
            let guard = token.clone().drop_guard();
            // Whoever waits for an answer learns of the driver's error; it is not needed here.
            if shared.keep_for_ever(&client) {
                shared.tasks.spawn(driver);
            } else {
                shared
                    .tasks
                    .spawn(token.clone().run_until_cancelled_owned(driver));
            }
            let connection = Self {
                client,
                idle_since: Moment::ZERO,
                token,
                guard,
            };
            connection.ping().await?;
            Ok(connection)
        };
        timeout(deadline, attempt)
            .await
            .unwrap_or(Err(DialError::TimedOut(deadline)))
    }

    /// Asks for nothing, to see whether it is answered.
    pub(super) async fn ping(&self) -> Result<(), tokio_postgres::Error> {
        self.client.simple_query("SELECT 1").await.map(drop)
    }

    /// Whether it can be used no more: the driver has ended, or its epoch is over.
    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed() || self.is_of_the_past()
    }

    /// Whether the database was lost since it was opened; it is no longer counted.
    pub(super) fn is_of_the_past(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Says farewell to the server in the background, instead of breaking the connection off.
    pub(super) fn part(self) {
        self.guard.disarm();
    }
}

/// The error with its causes: tokio-postgres names only the kind at the top.
pub(super) fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
