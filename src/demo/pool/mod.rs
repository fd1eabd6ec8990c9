//! A pool of connections to one database.
//!
//! Guarantees:
//!
//! - One supervisor dials for the whole pool; operations wait, they never dial.
//! - Each query, each heartbeat and each dial has a deadline on this side: a server that hangs
//!   cannot report its own timeout.
//! - When the database is lost, every connection is closed at once and nothing is sent any more
//!   until the supervisor has found the database again.
//! - Waiting operations are bounded, in number and in time.

mod connection;
mod dial;
mod lease;
mod operation;
mod settings;
mod shared;
mod snapshot;
mod supervisor;

pub(super) use operation::{Failure, Operation};
pub use settings::Settings;
pub(super) use settings::Size;
pub(super) use snapshot::{Counters, Snapshot, State};

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Config, Row};
use tokio_util::sync::CancellationToken;

use super::Defect;
use super::backoff::Backoff;
use super::log::Log;
use crate::units::Moment;
use lease::{Lease, may_be_repeated};
use shared::Shared;
use supervisor::Supervisor;

/// The database, the bounds and the log of a pool.
#[derive(Debug)]
pub(super) struct Setup {
    /// Where the database is.
    pub(super) config: Config,
    /// Deadlines and waits.
    pub(super) settings: Settings,
    /// Its bounds.
    pub(super) size: Size,
    /// Run once, on the first connection; must be harmless to repeat.
    pub(super) schema: String,
    /// Where losses and recoveries are logged.
    pub(super) log: Log,
}

/// A pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    shared: Arc<Shared>,
    stop: CancellationToken,
    supervisor: Arc<std::sync::Mutex<Option<JoinHandle<()>>>>,
}

impl Pool {
    /// Starts the supervisor. The database need not be there yet.
    pub(super) fn start(setup: Setup) -> Self {
        // Not a fixed seed: two instances must not retry in step.
        let backoff = Backoff::new(setup.settings.backoff, rand::make_rng());
        let shared = Arc::new(Shared::new(
            setup.config.get_dbname().unwrap_or("postgres").to_owned(),
            setup.settings,
            setup.size,
            setup.log,
        ));
        let stop = CancellationToken::new();
        let schema = if shared.settings.has(Defect::SchemaUnchecked) {
            String::new()
        } else {
            setup.schema
        };
        let supervisor = Supervisor::new(Arc::clone(&shared), setup.config, schema, backoff);
        let task = tokio::spawn(supervisor.run(stop.clone()));
        Self {
            shared,
            stop,
            supervisor: Arc::new(std::sync::Mutex::new(Some(task))),
        }
    }

    /// Runs `operation`; repeats it, within the bounds of the settings, if its outcome is unknown or
    /// the database asks for a retry.
    pub(super) async fn run(
        &self,
        operation: &Operation<'_>,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        let max_wait = operation
            .max_wait
            .unwrap_or_else(|| self.shared.settings.operation_timeout.get());
        let mut give_up = None;
        for attempt in 0..=self.shared.settings.retries {
            let mut lease = self.lease(max_wait, &mut give_up).await?;
            let sent = self.shared.clock.now();
            match lease.query(operation, params).await {
                Ok(rows) => return Ok(rows),
                Err(error) if may_be_repeated(error.as_ref()) => {
                    give_up.get_or_insert(sent + max_wait);
                    if self.shared.settings.has(Defect::LogStorm) {
                        let fields = json!({ "operation": operation.name, "attempt": attempt });
                        self.shared.log.warn("attempt failed", fields);
                    }
                }
                Err(error) => {
                    return Err(error.map_or_else(
                        || self.shared.unavailable(),
                        |source| Failure::Refused {
                            operation: operation.name,
                            source,
                        },
                    ));
                }
            }
        }
        Err(self.shared.unavailable())
    }

    /// Waits for the database without limit; for background work.
    pub(super) async fn available(&self) {
        self.shared.available().await;
    }

    /// Waits until the database turns out to have tables of another version; gives the message.
    pub(super) async fn unfit(&self) -> String {
        self.shared.unfit().await
    }

    /// The pool's state, without waiting for anything.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.shared.snapshot()
    }

    /// What happened so far.
    pub(super) fn counters(&self) -> Counters {
        self.shared.counters()
    }

    /// Closes every connection, cleanly if the database answers.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let task = self
            .supervisor
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            // If it panicked, its connections are closed all the same.
            drop(task.await);
        }
    }

    /// A connection, if need be after waiting for the database until `give_up`; that is set when
    /// the database is first found to be lost.
    async fn lease(
        &self,
        max_wait: Duration,
        give_up: &mut Option<Moment>,
    ) -> Result<Lease, Failure> {
        loop {
            match self.shared.checkout().await {
                Err(Failure::Unavailable { .. }) => {
                    let now = self.shared.clock.now();
                    let until = *give_up.get_or_insert(now + max_wait);
                    self.shared.available_within(until.since(now)).await?;
                }
                outcome => return outcome,
            }
        }
    }
}
