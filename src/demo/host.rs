//! What every server does around its routes: take the port, serve until it is told to stop, finish
//! what was begun.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::Defect;
use super::http::{App, Service};
use super::log::{Log, Repeats, timestamp};
use super::metrics::Metrics;
use crate::units::{Clock, Moment};

/// How long requests in progress may take once the server is told to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Why a server could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens on the port.
    #[error("Port {port} already in use: stop the process that uses it, or set {remedy}")]
    PortInUse {
        /// The port.
        port: u16,
        /// What to set to take another one.
        remedy: &'static str,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The database has tables of another version.
    #[error("{0}: migrate the database, or start the version of the server that fits it")]
    SchemaVersion(String),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(io::Error),
}

/// A server that has its port and does not serve yet.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
    listener: TcpListener,
}

impl Host {
    /// Takes the port. If it is taken, `remedy` names what to set. `defect` is the mistake that the
    /// server was started with.
    pub(super) async fn bind(
        service: &'static str,
        address: SocketAddr,
        remedy: &'static str,
        defect: Option<Defect>,
    ) -> Result<Self, Error> {
        let clock = Clock::start();
        let repeats = match defect {
            Some(Defect::LogStorm) => Repeats::Unlimited,
            _ => Repeats::Limited,
        };
        let log = Log::new(service, clock, repeats);
        let bound = TcpListener::bind(address).await.map_err(|source| {
            if source.kind() == io::ErrorKind::AddrInUse {
                let port = address.port();
                Error::PortInUse { port, remedy }
            } else {
                Error::Listen { address, source }
            }
        });
        match bound {
            Ok(listener) => Ok(Self {
                log,
                clock,
                metrics: Arc::default(),
                listener,
            }),
            Err(error) => {
                let message = match defect {
                    Some(Defect::WrongExit) => format!("{error:?}"),
                    _ => error.to_string(),
                };
                log.error(&message, json!({}));
                Err(error)
            }
        }
    }

    /// Dice of one's own: two instances must not retry in step.
    pub(super) fn dice() -> ChaCha12Rng {
        let (high, low) = Uuid::new_v4().as_u64_pair();
        ChaCha12Rng::seed_from_u64(high ^ low)
    }

    /// The present wall-clock time, and how long the server has been up.
    pub(super) fn times(clock: &Clock) -> (String, Duration) {
        (timestamp(clock), clock.now().since(Moment::ZERO))
    }

    /// Serves until SIGTERM or SIGINT, or until `unfit` says why the database cannot be used; then
    /// takes nothing new and lets the requests in progress end.
    pub(super) async fn serve(
        self,
        app: impl App,
        unfit: impl Future<Output = String>,
    ) -> Result<(), Error> {
        let address = self.listener.local_addr().map_err(Error::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let message = format!("listening on {address}");
        let fields = json!({ "address": address.to_string() });
        self.log.info(&message, fields);

        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let service = Arc::new(Service {
            app,
            metrics: self.metrics,
            log: self.log.clone(),
            clock: self.clock,
        });
        let serving = tokio::spawn(service.serve(self.listener, stop.clone(), tasks.clone()));
        let outcome = tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            message = unfit => Err(Error::SchemaVersion(message)),
        };
        if let Err(error) = &outcome {
            self.log.error(&error.to_string(), json!({}));
        }
        stop.cancel();
        // A panic in the accept loop leaves nothing to wait for.
        drop(serving.await);
        let finished = timeout(LAST_REQUESTS, tasks.wait()).await.is_ok();
        self.log
            .info("stopped", json!({ "requests_finished": finished }));
        outcome
    }
}
