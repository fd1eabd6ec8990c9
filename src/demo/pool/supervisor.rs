//! The one task that dials: it keeps the pool filled, notices a loss, and finds the database again.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep, timeout};
use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::dial::{self, DialError};
use super::shared::Shared;
use super::snapshot::State;
use crate::demo::backoff::Backoff;
use crate::demo::{Defect, schema};
use crate::units::Moment;

/// How long connections may take to close cleanly when the pool is closed.
const CLOSE_LIMIT: Duration = Duration::from_millis(500);
/// An interval of zero would be a busy loop.
const SHORTEST_BEAT: Duration = Duration::from_millis(1);
/// Failed attempts after which a server with the defect `gives-up` stops.
const MAX_ATTEMPTS: i32 = 3;

#[derive(Debug)]
pub(super) struct Supervisor {
    shared: Arc<Shared>,
    config: Config,
    /// The script that makes the tables; empty once it has run.
    schema: String,
    backoff: Backoff,
    /// The earliest moment of the next attempt.
    next_dial: Moment,
    /// Since when the database has been away; unset before it was first reached.
    lost_at: Option<Moment>,
}

impl Supervisor {
    pub(super) fn new(
        shared: Arc<Shared>,
        config: Config,
        schema: String,
        backoff: Backoff,
    ) -> Self {
        Self {
            shared,
            config,
            schema,
            backoff,
            next_dial: Moment::ZERO,
            lost_at: None,
        }
    }

    /// Connects, keeps the pool until the database is lost, connects again; until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let work = async {
            loop {
                self.find().await;
                self.keep().await;
                if self.has(Defect::NeverReconnects) {
                    pending::<()>().await;
                }
                if self.has(Defect::ExitsOnLoss) {
                    exit();
                }
            }
        };
        stop.run_until_cancelled(work).await;
        shared.shut();
        drop(timeout(CLOSE_LIMIT, shared.tasks.wait()).await);
        shared.cut();
    }

    /// Dials, one attempt at a time, until the database answers.
    async fn find(&mut self) {
        loop {
            self.until_next_dial().await;
            if self.has(Defect::SynchronisedHerd) {
                self.dial_every_slot();
            }
            if self.dial().await {
                break;
            }
            if self.has(Defect::GivesUp) && self.backoff.failures() >= MAX_ATTEMPTS {
                self.shared
                    .log
                    .error("giving up on the database", json!({}));
                pending::<()>().await;
            }
        }
        let database = &self.shared.database;
        if let Some(lost_at) = self.lost_at.take() {
            let outage = self.shared.clock.now().since(lost_at);
            let seconds = outage.as_secs_f64();
            let message = format!("database connection restored after {seconds:.1} s");
            let fields = json!({ "database": database, "outage_ms": outage.as_millis() });
            self.shared.log.info(&message, fields);
        } else {
            let fields = json!({ "database": database });
            self.shared.log.info("database connected", fields);
        }
    }

    /// Heartbeats, growth and repair, until the database is lost.
    async fn keep(&mut self) {
        let mut heartbeat = self.heartbeat();
        loop {
            let shared = Arc::clone(&self.shared);
            let due = tokio::select! {
                _ = heartbeat.tick() => true,
                () = shared.attention.notified() => false,
                () = self.until_next_dial(), if shared.wants_connection() => false,
            };
            if (due || self.is_in_doubt()) && !self.verify().await {
                return;
            }
            self.fill().await;
            if due {
                shared.shrink();
            }
        }
    }

    /// Whether there is reason to believe that the database is gone.
    fn is_in_doubt(&self) -> bool {
        self.shared.state() == State::Suspect || self.shared.is_empty()
    }

    /// Pings an idle connection. If there is doubt and none is idle, dials a new one. Connections in
    /// use have deadlines of their own and need no heartbeat.
    async fn verify(&mut self) -> bool {
        let deadline = self.shared.settings.heartbeat_timeout.get();
        while let Some(connection) = self.shared.take_oldest() {
            let asked = self.shared.clock.now();
            match timeout(deadline, connection.ping()).await {
                Ok(Ok(())) => {
                    self.shared.assure(self.shared.clock.now().since(asked));
                    self.shared.put_back_unused(connection);
                    return true;
                }
                // One broken connection proves nothing; ping the next.
                Ok(Err(_)) => self.shared.discard(connection),
                Err(_) => {
                    drop(connection);
                    let why = format!("heartbeat timed out after {} ms", deadline.as_millis());
                    return self.lose(&why);
                }
            }
        }
        if !self.is_in_doubt() || (self.may_dial() && self.dial().await) {
            return true;
        }
        self.lose("connections broke and no new one can be made")
    }

    /// Opens the missing connections, one at a time, until an attempt fails.
    async fn fill(&mut self) {
        while self.shared.wants_connection() && self.may_dial() {
            if !self.dial().await {
                return;
            }
        }
        if self.shared.is_filled() {
            self.backoff.reset();
        }
    }

    fn lose(&mut self, why: &str) -> bool {
        self.lost_at = Some(self.shared.clock.now());
        self.shared.lose(why);
        false
    }

    /// Makes one attempt to connect; if it fails, sets when the next may follow.
    async fn dial(&mut self) -> bool {
        let begun = self.shared.clock.now();
        match self.open().await {
            Ok(connection) => {
                let took = self.shared.clock.now().since(begun);
                if self.has(Defect::SlowRecovery) && self.lost_at.is_some() {
                    sleep(self.shared.settings.backoff.max.get() * 3).await;
                }
                self.shared.add(connection);
                if self.shared.state() != State::Available {
                    self.shared.assure(took);
                }
                true
            }
            Err(error) => {
                let wait = self.backoff.after_failure();
                self.next_dial = self.shared.clock.now() + wait;
                self.shared.dial_failed();
                if let DialError::Unfit(message) = &error {
                    self.shared.declare_unfit(message);
                }
                let fields = json!({
                    "database": self.shared.database,
                    "error": error.to_string(),
                    "attempt": self.backoff.failures(),
                    "next_in_ms": wait.as_millis(),
                });
                self.shared
                    .log
                    .warn("database unavailable: cannot connect", fields);
                false
            }
        }
    }

    async fn open(&mut self) -> Result<Connection, DialError> {
        let deadline = self.shared.settings.connect_timeout.get();
        let connection = dial::open(&self.config, &self.shared).await?;
        if !self.schema.is_empty() {
            let work = connection.client.batch_execute(&self.schema);
            timeout(deadline, work)
                .await
                .map_err(|_| DialError::TimedOut(deadline))?
                .map_err(|error| match schema::mismatch(&error) {
                    Some(message) => DialError::Unfit(message.to_owned()),
                    None => DialError::Refused(error),
                })?;
            self.schema.clear();
        }
        Ok(connection)
    }

    /// Dials for the other slots of the pool, all at the same moment.
    fn dial_every_slot(&self) {
        for _ in 1..self.shared.snapshot().min {
            let (shared, config) = (Arc::clone(&self.shared), self.config.clone());
            tokio::spawn(async move {
                if let Ok(connection) = dial::open(&config, &shared).await {
                    shared.add(connection);
                }
            });
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.shared.settings.has(defect)
    }

    fn may_dial(&self) -> bool {
        self.shared.clock.now() >= self.next_dial
    }

    async fn until_next_dial(&self) {
        let wait = self.next_dial.since(self.shared.clock.now());
        if !wait.is_zero() {
            sleep(wait).await;
        }
    }

    fn heartbeat(&self) -> Interval {
        let mut heartbeat = interval(self.shared.settings.heartbeat.get().max(SHORTEST_BEAT));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat
    }
}

#[expect(clippy::exit, reason = "the defect of a server that does just this")]
fn exit() -> ! {
    std::process::exit(1)
}
