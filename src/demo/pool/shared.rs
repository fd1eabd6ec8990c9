//! What operations and the supervisor share: the idle connections, the queue, the state.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::lease::Lease;
use super::operation::Failure;
use super::settings::{Settings, Size};
use super::snapshot::{Counters, Snapshot, State};
use crate::demo::Defect;
use crate::demo::log::{Level, Log};
use crate::units::{Clock, Moment};

/// From this share of the pool in use on, a warning is logged.
const BUSY_PERCENT: f64 = 80.0;
/// So is one for a query that takes at least this long.
const SLOW_QUERY: Duration = Duration::from_secs(1);

/// State that operations and the supervisor share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) database: String,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) log: Log,
    /// Wakes the supervisor: a suspicion, a connection wanted.
    pub(super) attention: Notify,
    /// The tasks that drive connections.
    pub(super) tasks: TaskTracker,
    size: Size,
    state: watch::Sender<State>,
    unfit: watch::Sender<Option<String>>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Longest unused first.
    idle: VecDeque<Connection>,
    /// Open connections of this epoch: idle and lent.
    open: usize,
    /// Operations that wait for a connection, longest first.
    queue: VecDeque<oneshot::Sender<Lease>>,
    /// Operations that wait for the database to come back.
    waiting_for_database: usize,
    /// Cancelled when the database is lost, which closes every connection, lent ones too.
    epoch: CancellationToken,
    ping: Option<Duration>,
    dial_failing: bool,
    counters: Counters,
    /// Empty unless connections are leaked.
    all_clients: Vec<Arc<Client>>,
}

impl Shared {
    pub(super) fn new(database: String, settings: Settings, size: Size, log: Log) -> Self {
        Self {
            database,
            settings,
            clock: log.clock(),
            log,
            attention: Notify::new(),
            tasks: TaskTracker::new(),
            // The maximum wins over the minimum, and is at least 1.
            size: Size {
                min: size.min.min(size.max),
                max: size.max.max(1),
            },
            state: watch::Sender::new(State::Unavailable),
            unfit: watch::Sender::new(None),
            inner: Mutex::default(),
        }
    }

    /// A connection, from the idle ones or after waiting in the queue.
    pub(super) async fn checkout(self: &Arc<Self>) -> Result<Lease, Failure> {
        let begun = self.clock.now();
        let turn = {
            let mut inner = self.lock();
            if self.state() == State::Unavailable {
                return Err(self.unavailable());
            }
            // While in doubt, send nothing more.
            if self.state() == State::Available
                && let Some(connection) = inner.take_idle()
            {
                self.warn_if_busy(&inner);
                return Ok(Lease::new(connection, self));
            }
            inner.queue.retain(|waiting| !waiting.is_closed());
            let full = inner.queue.len() >= self.settings.queue;
            if inner.open >= self.size.max || full {
                self.warn_of_saturation(&inner);
            }
            if full {
                return Err(self.saturated());
            }
            let (sender, turn) = oneshot::channel();
            inner.queue.push_back(sender);
            turn
        };
        self.attention.notify_one();
        let outcome = timeout(self.settings.checkout_timeout.get(), turn).await;
        self.lock().counters.waited += self.clock.now().since(begun);
        match outcome {
            Ok(Ok(lease)) => Ok(lease),
            Ok(Err(_)) => Err(self.unavailable()),
            Err(_) => Err(self.saturated()),
        }
    }

    /// Waits until the database answers.
    pub(super) async fn available(&self) {
        let mut state = self.state.subscribe();
        // The sender lives as long as `self`.
        drop(state.wait_for(|state| *state == State::Available).await);
    }

    /// Waits until the database answers, at most for `limit`. At most as many wait here as the pool
    /// could serve and queue.
    pub(super) async fn available_within(&self, limit: Duration) -> Result<(), Failure> {
        {
            let mut inner = self.lock();
            if inner.waiting_for_database >= self.size.max + self.settings.queue {
                return Err(self.unavailable());
            }
            inner.waiting_for_database += 1;
        }
        let outcome = timeout(limit, self.available()).await;
        self.lock().waiting_for_database -= 1;
        outcome.map_err(|_| self.unavailable())
    }

    /// A query got no answer: wakes the supervisor, which pings the database.
    pub(super) fn suspect(&self) {
        let _held = self.lock();
        if self.state() == State::Available {
            self.state.send_replace(State::Suspect);
        }
        self.attention.notify_one();
    }

    /// The database is lost: closes every connection and fails every operation in the queue.
    pub(super) fn lose(&self, why: &str) {
        let mut inner = self.lock();
        inner.epoch.cancel();
        inner.epoch = CancellationToken::new();
        inner.idle.clear();
        inner.open = 0;
        inner.queue.clear();
        inner.counters.losses += 1;
        self.state.send_replace(State::Unavailable);
        drop(inner);
        let message = format!("database connection lost: {why}");
        self.log
            .error(&message, json!({ "database": self.database }));
    }

    /// The database answers: serves the operations that queued meanwhile.
    pub(super) fn assure(self: &Arc<Self>, ping: Duration) {
        let mut inner = self.lock();
        inner.ping = Some(ping);
        if self.state() == State::Available {
            return;
        }
        self.state.send_replace(State::Available);
        for connection in std::mem::take(&mut inner.idle) {
            inner.hand_out(connection, self);
        }
    }

    /// Adds a new connection.
    pub(super) fn add(self: &Arc<Self>, mut connection: Connection) {
        connection.idle_since = self.clock.now();
        let mut inner = self.lock();
        inner.open += 1;
        inner.dial_failing = false;
        inner.hand_out(connection, self);
    }

    /// Takes back a connection that was lent.
    pub(super) fn put_back(self: &Arc<Self>, mut connection: Connection) {
        connection.idle_since = self.clock.now();
        let mut inner = self.lock();
        if connection.is_closed() {
            drop(inner);
            return self.discard(connection);
        }
        inner.hand_out(connection, self);
    }

    /// Takes back a connection after a ping: it stays the one that has been idle for longest.
    pub(super) fn put_back_unused(self: &Arc<Self>, connection: Connection) {
        let mut inner = self.lock();
        if connection.is_closed() {
            drop(inner);
            return self.discard(connection);
        }
        if inner.queue.is_empty() {
            inner.idle.push_front(connection);
        } else {
            inner.hand_out(connection, self);
        }
    }

    /// Closes a broken connection.
    pub(super) fn discard(&self, connection: Connection) {
        let mut inner = self.lock();
        if !connection.is_stale() {
            inner.open -= 1;
            self.attention.notify_one();
        }
        drop(inner);
        drop(connection);
    }

    /// The connection that has been idle for longest.
    pub(super) fn take_oldest(&self) -> Option<Connection> {
        let mut inner = self.lock();
        inner.drop_closed();
        inner.idle.pop_front()
    }

    /// Whether the pool is below its minimum, or an operation waits and the pool may grow.
    pub(super) fn wants_connection(&self) -> bool {
        let inner = self.lock();
        let waiting = inner.idle.is_empty() && inner.queue.iter().any(|turn| !turn.is_closed());
        let Size { min, max } = self.wanted_size(&inner);
        inner.open < min || (waiting && inner.open < max)
    }

    /// Whether no connection is open.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().open == 0
    }

    /// Whether the minimum is reached.
    pub(super) fn is_filled(&self) -> bool {
        let inner = self.lock();
        inner.open >= self.wanted_size(&inner).min
    }

    /// Closes connections above the minimum that have been idle for too long.
    pub(super) fn shrink(&self) {
        let now = self.clock.now();
        let mut inner = self.lock();
        while inner.open > self.wanted_size(&inner).min
            && let Some(oldest) = inner.idle.front()
            && now.since(oldest.idle_since) >= self.settings.idle_timeout.get()
        {
            if let Some(connection) = inner.idle.pop_front() {
                connection.close_cleanly();
                inner.open -= 1;
            }
        }
    }

    /// Counts an attempt to connect; the token closes its connection.
    pub(super) fn begin_dial(&self) -> CancellationToken {
        let mut inner = self.lock();
        inner.counters.dials += 1;
        inner.epoch.child_token()
    }

    /// With the defect `connection-leak`: keeps `client`, so that its session never closes.
    pub(super) fn leak(&self, client: &Arc<Client>) -> bool {
        let keep = self.settings.has(Defect::ConnectionLeak);
        if keep {
            self.lock().all_clients.push(Arc::clone(client));
        }
        keep
    }

    /// Notes that an attempt to connect failed.
    pub(super) fn dial_failed(&self) {
        self.lock().dial_failing = !self.settings.has(Defect::HealthLies);
    }

    /// Closes every idle connection cleanly; the pool gives out no more.
    pub(super) fn shut(&self) {
        let mut inner = self.lock();
        self.state.send_replace(State::Unavailable);
        inner.queue.clear();
        for connection in inner.idle.drain(..) {
            connection.close_cleanly();
        }
        self.tasks.close();
    }

    /// Closes what is still open.
    pub(super) fn cut(&self) {
        self.lock().epoch.cancel();
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            state: self.state(),
            size: inner.open,
            free: inner.idle.len(),
            min: self.size.min,
            max: self.size.max,
            waiting: inner.queue.len() + inner.waiting_for_database,
            ping: inner.ping,
            dial_failing: inner.dial_failing,
        }
    }

    pub(super) fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// The database has tables of another version, as `message` says.
    pub(super) fn declare_unfit(&self, message: &str) {
        self.unfit.send_replace(Some(message.to_owned()));
    }

    /// Waits until the database is found to have tables of another version: what is the matter.
    pub(super) async fn unfit(&self) -> String {
        let mut unfit = self.unfit.subscribe();
        let found = unfit.wait_for(Option::is_some).await;
        // The sender lives as long as `self`.
        found
            .ok()
            .and_then(|found| found.clone())
            .unwrap_or_default()
    }

    pub(super) fn state(&self) -> State {
        *self.state.borrow()
    }

    pub(super) fn unavailable(&self) -> Failure {
        Failure::Unavailable {
            database: self.database.clone(),
        }
    }

    fn saturated(&self) -> Failure {
        Failure::Saturated {
            connections: self.size.max,
        }
    }

    /// The bounds of the pool.
    fn wanted_size(&self, inner: &Inner) -> Size {
        if inner.counters.losses > 0 && self.settings.has(Defect::SmallPool) {
            return Size { min: 1, max: 1 };
        }
        if self.settings.has(Defect::OverMaximum) {
            let one_more = self.size.max + 1;
            return Size {
                min: one_more,
                max: one_more,
            };
        }
        self.size
    }

    /// Warns of a query that was sent at `sent`, if it took long, whatever came of it.
    pub(super) fn warn_if_slow(&self, operation: &'static str, sent: Moment) {
        let took = self.clock.now().since(sent);
        if took >= SLOW_QUERY {
            let message = format!("slow query: {operation} took {:.1} s", took.as_secs_f64());
            let fields = json!({
                "database": self.database,
                "operation": operation,
                "latency_ms": took.as_millis(),
            });
            self.log.limited(Level::Warn, operation, &message, fields);
        }
    }

    fn warn_if_busy(&self, inner: &Inner) {
        let (used, max) = (inner.open - inner.idle.len(), self.size.max);
        if used < max && 100.0 * used as f64 >= BUSY_PERCENT * max as f64 {
            let message = format!("Connection pool nearly in use ({used}/{max} connections)");
            self.log.limited_warn("pool nearly in use", &message);
        }
    }

    fn warn_of_saturation(&self, inner: &Inner) {
        let (used, max) = (inner.open - inner.idle.len(), self.size.max);
        let message = format!("Connection pool saturation ({used}/{max} connections in use)");
        self.log.limited_warn("pool saturation", &message);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The connection that was used last: the least likely to be broken.
    fn take_idle(&mut self) -> Option<Connection> {
        self.drop_closed();
        self.idle.pop_back()
    }

    fn drop_closed(&mut self) {
        let before = self.idle.len();
        self.idle.retain(|connection| !connection.is_closed());
        self.open -= before - self.idle.len();
    }

    /// Gives a connection to the operation that has waited longest, or makes it idle.
    fn hand_out(&mut self, mut connection: Connection, shared: &Arc<Shared>) {
        while let Some(waiting) = self.queue.pop_front() {
            match waiting.send(Lease::new(connection, shared)) {
                Ok(()) => return,
                Err(mut refused) => match refused.take() {
                    Some(returned) => connection = returned,
                    None => return,
                },
            }
        }
        self.idle.push_back(connection);
    }
}
