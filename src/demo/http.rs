//! Requests and replies, and the loop that takes connections.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::log::{Level, Log};
use super::metrics::Metrics;
use super::pool::Failure;
use crate::units::Clock;

/// Longest body that is read.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Connections at a time; further clients wait in the kernel's queue.
const MAX_CONNECTIONS: usize = 2048;
/// Pause after `accept` failed, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// When to come back if the database is away: its supervisor asks at least that often.
const RETRY_SOON_S: u64 = 1;
/// When to come back if every connection is in use.
const RETRY_WHEN_CALM_S: u64 = 5;

/// What a server answers.
pub(super) trait App: Send + Sync + 'static {
    /// Its routes as they are named in metrics; `{}` stands for any segment.
    const ROUTES: &'static [&'static str];

    /// Answers one request.
    fn answer(&self, request: &Request) -> impl Future<Output = Reply> + Send;
}

/// A request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    path: String,
    query: String,
    body: Bytes,
    id: String,
}

impl Request {
    /// The parts of the path between slashes.
    pub(super) fn segments(&self) -> Vec<&str> {
        segments(&self.path).collect()
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let value = self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })?;
        let spaced = value.replace('+', " ");
        Some(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
    }

    /// The parameter `limit`, at most 100.
    pub(super) fn limit(&self) -> Result<i64, Reply> {
        let Some(text) = self.parameter("limit") else {
            return Ok(10);
        };
        match text.parse() {
            Ok(limit @ 1..=100) => Ok(limit),
            _ => Err(Reply::error(
                StatusCode::BAD_REQUEST,
                "`limit` is a number from 1 to 100",
            )),
        }
    }

    /// The body.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Reply> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Reply::error(
                StatusCode::BAD_REQUEST,
                format!("the body is not the JSON that is expected here: {error}"),
            )
        })
    }

    /// A request whose body is still to be read.
    fn begin(head: Parts) -> Self {
        let id = head.headers.get("x-request-id");
        Self {
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            body: Bytes::new(),
            id: id
                .and_then(|id| id.to_str().ok())
                .map_or_else(|| Uuid::new_v4().to_string(), str::to_owned),
        }
    }

    async fn read(&mut self, body: Incoming) -> Result<(), Reply> {
        let body = Limited::new(body, MAX_BODY_BYTES).collect().await;
        let body = body.map_err(|error| {
            Reply::error(
                StatusCode::BAD_REQUEST,
                format!("the body cannot be read: {error}"),
            )
        })?;
        self.body = body.to_bytes();
        Ok(())
    }
}

/// What a request is answered with.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
    retry_after_s: Option<u64>,
    error: Option<String>,
}

impl Reply {
    /// A JSON body.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self {
                status,
                content_type: "application/json",
                body: body.into(),
                retry_after_s: None,
                error: None,
            },
            Err(error) => Self::error(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }

    /// A text body in the Prometheus format.
    pub(super) fn metrics(text: String) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: "text/plain; version=0.0.4",
            body: text.into(),
            retry_after_s: None,
            error: None,
        }
    }

    /// What went wrong, and what to do about it.
    pub(super) fn error(status: StatusCode, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            error: Some(message.clone()),
            ..Self::json(status, &json!({ "error": message }))
        }
    }

    /// Something that this server needs is away.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::retry_after(RETRY_SOON_S, message)
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is nothing here")
    }

    fn retry_after(seconds: u64, message: impl Into<String>) -> Self {
        let message = format!("{}; retry after {seconds} s", message.into());
        Self {
            retry_after_s: Some(seconds),
            ..Self::error(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Unavailable { .. } => Self::unavailable(message),
            Failure::Saturated { .. } => Self::retry_after(RETRY_WHEN_CALM_S, message),
            Failure::Refused { .. } => Self::error(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

/// An app with what accompanies each of its requests.
#[derive(Debug)]
pub(super) struct Service<A> {
    pub(super) app: A,
    pub(super) metrics: Arc<Metrics>,
    pub(super) log: Log,
    pub(super) clock: Clock,
}

impl<A: App> Service<A> {
    /// Takes connections until `stop`, then lets the requests in progress end; `tasks` says when.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: TcpListener,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        let seats = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let accept = async {
            loop {
                let Ok(seat) = Arc::clone(&seats).acquire_owned().await else {
                    return;
                };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let connection =
                            Arc::clone(&self).converse(stream, stop.clone(), tasks.clone());
                        tasks.spawn(async move {
                            connection.await;
                            drop(seat);
                        });
                    }
                    Err(error) => {
                        let fields = json!({ "error": error.to_string() });
                        self.log.warn("cannot accept a connection", fields);
                        sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(accept).await;
        tasks.close();
    }

    async fn converse(
        self: Arc<Self>,
        stream: TcpStream,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) {
        // Answers are small; waiting to fill a segment would only delay them.
        drop(stream.set_nodelay(true));
        let service = service_fn(|request| {
            // In a task of its own: a request that was begun is finished and logged even if its
            // client hangs up.
            let answer = tasks.spawn(Arc::clone(&self).respond(request));
            async move {
                Ok::<_, Infallible>(answer.await.unwrap_or_else(|_| {
                    Reply::error(StatusCode::INTERNAL_SERVER_ERROR, "the request failed")
                        .into_response()
                }))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        // How a client leaves is its own business.
        tokio::select! {
            ended = connection.as_mut() => drop(ended),
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                drop(connection.await);
            }
        }
    }

    async fn respond(self: Arc<Self>, request: hyper::Request<Incoming>) -> Response<Full<Bytes>> {
        let begun = self.clock.now();
        let (head, body) = request.into_parts();
        let mut request = Request::begin(head);
        let route = route::<A>(&request);
        let reply = match request.read(body).await {
            Ok(()) => self.app.answer(&request).await,
            Err(reply) => reply,
        };
        let latency = self.clock.now().since(begun);
        self.metrics.answered(route, reply.status.as_u16(), latency);
        self.log_request(&request, route, &reply, latency);
        reply.into_response()
    }

    fn log_request(&self, request: &Request, route: &str, reply: &Reply, latency: Duration) {
        let status = reply.status.as_u16();
        let operation = format!("{} {route}", request.method);
        let mut fields = json!({
            "request_id": request.id,
            "operation": operation,
            "latency_ms": (latency.as_secs_f64() * 1e6).round() / 1e3,
            "outcome": status,
        });
        if let Some(error) = &reply.error {
            fields["error"] = Value::from(error.as_str());
        }
        if reply.status.is_server_error() {
            let key = format!("{operation} {status}");
            self.log
                .limited(Level::Warn, &key, "request failed", fields);
        } else {
            self.log.info("request", fields);
        }
    }
}

/// The route that a request takes; a bounded set, whatever clients ask for.
fn route<A: App>(request: &Request) -> &'static str {
    let fits = |route: &str| {
        let mut wanted = segments(route);
        let mut found = segments(&request.path);
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return true,
                (Some(wanted), Some(found)) if wanted == "{}" || wanted == found => {}
                _ => return false,
            }
        }
    };
    let found = A::ROUTES.iter().find(|route| fits(route));
    found.copied().unwrap_or("other")
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|segment| !segment.is_empty())
}
