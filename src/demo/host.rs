//! What every server does around its routes: bind the port, serve until a signal, finish what was
//! begun.

use std::future::{IntoFuture, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use axum::serve::ListenerExt;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::health::HealthCheckResponse;
use super::http::{Observer, no_route, observe};
use super::log::{Log, Repeats};
use super::pool::{Operation, Pool};
use super::{Defect, metrics};
use crate::units::Clock;

/// How long requests in progress may take once the server is to stop.
const LAST_REQUESTS: Duration = Duration::from_secs(2);
/// Longest body that is read.
const MAX_BODY_BYTES: usize = 1 << 20;
const PING: Operation = Operation::new("ping", "SELECT 1", &[]);

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
    defect: Option<Defect>,
    listener: TcpListener,
}

impl Host {
    /// Binds the port. If it is taken, `remedy` names what to set. `defect` is the mistake that the
    /// server was started with.
    pub(super) async fn bind(
        service: &'static str,
        address: SocketAddr,
        remedy: &'static str,
        defect: Option<Defect>,
    ) -> Result<Self, Error> {
        let repeats = match defect {
            Some(Defect::LogStorm) => Repeats::Unlimited,
            _ => Repeats::Limited,
        };
        let log = Log::new(service, Clock::start(), repeats);
        match TcpListener::bind(address).await {
            Ok(listener) => Ok(Self {
                log,
                defect,
                listener,
            }),
            Err(source) => {
                let error = if source.kind() == io::ErrorKind::AddrInUse {
                    let port = address.port();
                    Error::PortInUse { port, remedy }
                } else {
                    Error::Listen { address, source }
                };
                let message = match defect {
                    Some(Defect::WrongExit) => format!("{error:?}"),
                    _ => error.to_string(),
                };
                log.error(&message, json!({}));
                Err(error)
            }
        }
    }

    /// Serves `routes` until SIGTERM or SIGINT, or until `pool` finds tables of another version;
    /// then accepts nothing new and lets the requests in progress end. With a pool, `/health` and
    /// `/metrics` are served too.
    pub(super) async fn serve(self, routes: Router, pool: Option<Pool>) -> Result<(), Error> {
        let address = self.listener.local_addr().map_err(Error::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Signals)?;
        let (log, defect) = (self.log, self.defect);
        let fields = json!({ "address": address.to_string() });
        log.info(&format!("listening on {address}"), fields);

        let (stop, requests) = (CancellationToken::new(), TaskTracker::new());
        let observer = Observer {
            log: log.clone(),
            metrics: Arc::default(),
            requests: requests.clone(),
        };
        let routes = match &pool {
            Some(pool) => routes.merge(pool_routes(pool.clone(), &observer, defect)),
            None => routes,
        };
        let unfit = async {
            match &pool {
                Some(pool) => pool.unfit().await,
                None => pending().await,
            }
        };
        let routes = routes
            .fallback(no_route)
            .method_not_allowed_fallback(no_route)
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
            .layer(from_fn_with_state(observer, observe));
        // Answers are small; waiting to fill a segment would only delay them.
        let listener = self
            .listener
            .tap_io(|stream| drop(stream.set_nodelay(true)));
        let serving = axum::serve(listener, routes)
            .with_graceful_shutdown(stop.clone().cancelled_owned())
            .into_future();
        let serving = tokio::spawn(serving);
        let outcome = tokio::select! {
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
            message = unfit => Err(Error::SchemaVersion(message)),
        };
        if let Err(error) = &outcome {
            log.error(&error.to_string(), json!({}));
        }
        stop.cancel();
        requests.close();
        let finished = timeout(LAST_REQUESTS, async {
            tokio::join!(serving, requests.wait())
        });
        let finished = finished.await.is_ok();
        log.info("stopped", json!({ "requests_finished": finished }));
        outcome
    }
}

/// `/health` and `/metrics` of a server with a database.
fn pool_routes(pool: Pool, observer: &Observer, defect: Option<Defect>) -> Router {
    let (clock, metrics) = (observer.log.clock(), Arc::clone(&observer.metrics));
    let shown = pool.clone();
    let health = async move || {
        if defect == Some(Defect::HealthWaits)
            && let Err(failure) = pool.run(&PING, &[]).await
        {
            let body = json!({ "status": "unhealthy", "error": failure.to_string() });
            return Err((StatusCode::SERVICE_UNAVAILABLE, Json(body)));
        }
        let health = HealthCheckResponse::new(&pool.snapshot(), clock);
        Ok((health.status_code(), Json(health)))
    };
    let metrics = async move || {
        let pool = metrics::render_pool(&shown.snapshot(), &shown.counters());
        let content_type = (CONTENT_TYPE, "text/plain; version=0.0.4");
        ([content_type], metrics.render() + &pool)
    };
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(metrics))
}
