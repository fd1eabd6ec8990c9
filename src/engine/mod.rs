//! Owns every proxy and every fault in force: the single writer that carries out actions.
//!
//! Every edge of every fault is stamped and recorded here, with who asked for it. Whoever wants a
//! change holds an [`EngineHandle`] and sends an [`Order`]; actions are carried
//! out one after the other, each to its end. Only what is done outside the byte stream, which may
//! take seconds, is done beside: in order for one fault, but nobody else waits. Faults on
//! connections live in this process and in nothing else, so they are gone when it is; whatever else
//! a fault does is done through the lab, whose guard undoes it when this process is gone.

mod actor;
mod world;
mod world_task;

use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::action::Order;
use crate::event::{Name, OpenConnection, Recorder};
use crate::lab::{Lab, LabError};
use crate::proxy::{ListenError, Stats, Workers};
use crate::units::{Clock, Moment};
use actor::{Actor, Request};

/// Requests that may wait at once; beyond it, senders wait.
const QUEUE_LIMIT: usize = 64;

/// How the engine is started.
#[derive(Debug)]
pub struct Settings {
    /// Where facts go.
    pub recorder: Recorder,
    /// Keys the dice of every fault.
    pub seed: u64,
    /// Threads that carry bytes; `None` takes one per core.
    pub workers: Option<NonZero<usize>>,
    /// What faults on ports, processes, servers and by commands act on; without it they are
    /// refused.
    pub lab: Option<Arc<Lab>>,
}

/// What an action came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// It has been done, everywhere, since this moment.
    Done(Moment),
    /// The proxy listens here.
    Listening(SocketAddr),
}

/// Why an action was not carried out. Nothing was changed, unless a variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No proxy has this name.
    #[error("no proxy is named `{name}`; there {}", listed(.known))]
    UnknownProxy {
        /// As asked for.
        name: Name,
        /// Those that there are, sorted.
        known: Vec<Name>,
    },
    /// The name is taken.
    #[error("a proxy named `{0}` exists already")]
    ProxyExists(Name),
    /// No fault of this name is in force.
    #[error("no fault named `{0}` is in force")]
    UnknownFault(Name),
    /// A fault of this name is in force.
    #[error("a fault named `{0}` is already in force")]
    FaultExists(Name),
    /// No kind of fault has this name.
    #[error("`{0}` is not a kind of fault")]
    UnknownKind(String),
    /// The kind does not take these parameters, or not in this scope.
    #[error("fault `{fault}`: {message}")]
    BadFault {
        /// The fault.
        fault: Name,
        /// What is wrong.
        message: String,
    },
    /// The proxy cannot listen.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A port did not follow; the connections did.
    #[error("proxy `{proxy}` could not change how its port answers")]
    Port {
        /// The proxy.
        proxy: Name,
        /// Why.
        source: io::Error,
    },
    /// The lab could not do it, or not all of it.
    #[error("fault `{fault}`: {source}")]
    Lab {
        /// The fault.
        fault: Name,
        /// Why.
        source: LabError,
    },
    /// The engine was shut down.
    #[error("the engine was shut down")]
    Stopped,
}

fn listed(names: &[Name]) -> String {
    match names {
        [] => "is none".to_owned(),
        [name] => format!("is `{name}`"),
        names => format!("are `{}`", names.join("`, `")),
    }
}

/// Sends actions to the engine. Cheap to clone. The engine shuts down with the last handle.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    requests: mpsc::Sender<Request>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
    clock: Clock,
}

impl EngineHandle {
    /// Starts the engine and its worker threads. Must be called within a tokio runtime, on which
    /// the engine runs.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let clock = settings.recorder.clock();
        let workers = Workers::start(settings.workers, clock)?;
        let (requests, queue) = mpsc::channel(QUEUE_LIMIT);
        let actor = Actor::new(settings, workers);
        let task = tokio::spawn(actor.run(queue));
        Ok(Self {
            requests,
            task: Arc::new(Mutex::new(Some(task))),
            clock,
        })
    }

    /// Carries out an action; returns once it is in force everywhere. If the caller goes away
    /// meanwhile, the action is carried out all the same.
    pub async fn apply(&self, order: impl Into<Order>) -> Result<Reply, EngineError> {
        self.submit(order).await?.done().await
    }

    /// Hands an action over without waiting for what comes of it. Actions are carried out in the
    /// order in which they are handed over.
    pub async fn submit(&self, order: impl Into<Order>) -> Result<Pending, EngineError> {
        let order = order.into();
        let (reply, answer) = oneshot::channel();
        let (name, clock, begun) = (order.action.to_string(), self.clock, self.clock.now());
        self.send(Request::Apply(Box::new(order), reply)).await?;
        Ok(Pending {
            answer,
            name,
            clock,
            begun,
        })
    }

    /// What a proxy has carried so far.
    pub async fn stats(&self, proxy: Name) -> Result<Stats, EngineError> {
        self.ask(|reply| Request::Stats(proxy, reply)).await?
    }

    /// The open connections of a proxy that are most worth a look, at most so many: first those
    /// that wait, the longest first, then those that carried most since the last call.
    pub async fn connections(
        &self,
        proxy: Name,
        most: usize,
    ) -> Result<Vec<OpenConnection>, EngineError> {
        self.ask(|reply| Request::Connections(proxy, most, reply))
            .await?
    }

    /// Ends every connection, listener and thread, and waits for it. Later calls find it done.
    pub async fn shutdown(&self) {
        // An engine that is already gone has nothing left to end.
        drop(self.requests.send(Request::Shutdown).await);
        if let Some(task) = self.task.lock().await.take() {
            drop(task.await);
        }
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<T>) -> Request,
    ) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send(request(reply)).await?;
        answer.await.map_err(|_| EngineError::Stopped)
    }

    async fn send(&self, request: Request) -> Result<(), EngineError> {
        let sent = self.requests.send(request).await;
        sent.map_err(|_| EngineError::Stopped)
    }
}

/// An action that was handed over.
#[derive(Debug)]
pub struct Pending {
    answer: oneshot::Receiver<Result<Reply, EngineError>>,
    /// The action, for the log.
    name: String,
    clock: Clock,
    begun: Moment,
}

impl Pending {
    /// What came of it, once it is in force everywhere.
    pub async fn done(self) -> Result<Reply, EngineError> {
        let outcome = self.answer.await.map_err(|_| EngineError::Stopped)?;
        let (action, took) = (self.name, self.clock.now().since(self.begun));
        match &outcome {
            Ok(_) => debug!(action, ?took, "done"),
            Err(error) => warn!(action, ?took, "failed: {error}"),
        }
        outcome
    }
}
