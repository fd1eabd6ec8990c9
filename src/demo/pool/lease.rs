//! A connection in use.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Error, Row};

use super::connection::Connection;
use super::operation::Operation;
use super::shared::Shared;

/// A connection in use. Dropping it returns the connection to the pool, also if the operation that
/// waited for it was cancelled before it got it.
#[derive(Debug)]
pub(super) struct Lease {
    connection: Option<Connection>,
    shared: Arc<Shared>,
}

impl Lease {
    pub(super) fn new(connection: Connection, shared: &Arc<Shared>) -> Self {
        Self {
            connection: Some(connection),
            shared: Arc::clone(shared),
        }
    }

    /// Takes the connection out, so that it is not returned.
    pub(super) fn take(&mut self) -> Option<Connection> {
        self.connection.take()
    }

    /// Sends `operation` and waits for its answer until its deadline; `Err(None)` means that there
    /// was none. A connection that failed to answer is closed.
    pub(super) async fn query(
        &mut self,
        operation: &Operation<'_>,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Option<Error>> {
        let Some(connection) = &self.connection else {
            return Err(None);
        };
        let typed: Vec<(&(dyn ToSql + Sync), Type)> = params
            .iter()
            .copied()
            .zip(operation.types.iter().cloned())
            .collect();
        let settings = &self.shared.settings;
        let deadline = operation
            .deadline
            .unwrap_or_else(|| settings.query_timeout.get());
        let sent = self.shared.clock.now();
        let answer = timeout(
            deadline,
            connection.client.query_typed(operation.sql, &typed),
        )
        .await;
        self.shared.warn_if_slow(operation.name, sent);
        let error = match answer {
            Ok(Ok(rows)) => return Ok(rows),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if error.as_ref().is_none_or(|error| error.code().is_none()) {
            if let Some(connection) = self.connection.take() {
                self.shared.discard(connection);
            }
            self.shared.suspect();
        }
        Err(error)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.shared.put_back(connection);
        }
    }
}

/// Whether the statement may succeed if it is sent again: its outcome is unknown, or the database
/// rolled it back for a temporary reason.
pub(super) fn may_be_repeated(error: Option<&Error>) -> bool {
    let Some(error) = error else { return true };
    match error.code() {
        None => error.is_closed() || is_io(error),
        Some(code) => {
            *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED
                || code.code().starts_with("57P")
        }
    }
}

fn is_io(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<std::io::Error>)
}
