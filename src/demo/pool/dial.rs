//! One attempt to connect.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Config, NoTls};

use super::connection::Connection;
use super::shared::Shared;

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

/// Connects and runs one query within one deadline: a server may accept and then hang.
/// The connection is closed when the database is lost.
pub(super) async fn open(config: &Config, shared: &Shared) -> Result<Connection, DialError> {
    let deadline = shared.settings.connect_timeout.get();
    let token = shared.begin_dial();
    let attempt = async {
        let (client, driver) = config.connect(NoTls).await?;
        let client = Arc::new(client);
        // The query that is under way reports the driver's error.
        if shared.leak(&client) {
            shared.tasks.spawn(driver);
        } else {
            let driver = token.clone().run_until_cancelled_owned(driver);
            shared.tasks.spawn(driver);
        }
        let connection = Connection::new(client, token);
        connection.ping().await?;
        Ok(connection)
    };
    timeout(deadline, attempt)
        .await
        .unwrap_or(Err(DialError::TimedOut(deadline)))
}

/// The error with its causes: tokio-postgres names only the kind at the top.
fn with_causes(error: &tokio_postgres::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
