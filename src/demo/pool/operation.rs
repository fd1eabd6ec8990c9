//! Operations of a pool and their errors.

use std::time::Duration;

use tokio_postgres::types::Type;

/// One statement, so that it takes one round trip and is either wholly done or not at all.
///
/// It may be sent more than once: after a timeout it is unknown whether it was done. Every statement
/// must therefore be safe to repeat.
#[derive(Debug, Clone, Copy)]
pub(in crate::demo) struct Operation<'a> {
    /// Its name in logs.
    pub(in crate::demo) name: &'static str,
    /// The statement.
    pub(in crate::demo) sql: &'a str,
    /// The types of its parameters.
    pub(in crate::demo) types: &'static [Type],
    /// Overrides the pool's query timeout.
    pub(in crate::demo) deadline: Option<Duration>,
    /// How long it waits for a lost database; overrides the pool's operation timeout.
    pub(in crate::demo) max_wait: Option<Duration>,
}

impl<'a> Operation<'a> {
    /// A statement with the pool's deadlines.
    pub(in crate::demo) const fn new(
        name: &'static str,
        sql: &'a str,
        types: &'static [Type],
    ) -> Self {
        Self {
            name,
            sql,
            types,
            deadline: None,
            max_wait: None,
        }
    }
}

/// Why an operation did not succeed.
#[derive(Debug, thiserror::Error)]
pub(in crate::demo) enum Failure {
    /// The database cannot be reached; whether the statement was done is not known.
    #[error("database `{database}` is unavailable")]
    Unavailable {
        /// Its name.
        database: String,
    },
    /// Every connection is in use, and the queue is full or the wait was too long.
    #[error("all {connections} connections are in use")]
    Saturated {
        /// The pool's maximum.
        connections: usize,
    },
    /// The database refused the statement.
    #[error("{operation}: {source}")]
    Refused {
        /// The operation's name.
        operation: &'static str,
        /// What the database said.
        source: tokio_postgres::Error,
    },
}
