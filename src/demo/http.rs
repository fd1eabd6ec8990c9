//! What the routes of all servers share: JSON bodies, errors, and a log line and a metric per
//! request.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, MatchedPath, Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::log::{Level, Log};
use super::metrics::Metrics;
use super::pool::Failure;

/// `Retry-After` if the database is away: the pool's supervisor dials at least that often.
const RETRY_UNAVAILABLE_S: u64 = 1;
/// `Retry-After` if every connection is in use.
const RETRY_SATURATED_S: u64 = 5;

/// A JSON body. Unlike axum's `Json` it needs no content type.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let body = Bytes::from_request(request, state).await.map_err(|error| {
            HttpError::bad_request(format!("the body cannot be read: {}", error.body_text()))
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            HttpError::bad_request(format!("the body is not the expected JSON: {error}"))
        })
    }
}

/// How many rows a list holds: 1 to 100.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "i64")]
pub(super) struct Limit(pub(super) i64);

impl Default for Limit {
    fn default() -> Self {
        Self(10)
    }
}

impl TryFrom<i64> for Limit {
    type Error = &'static str;

    fn try_from(limit: i64) -> Result<Self, &'static str> {
        let fits = (1..=100).contains(&limit);
        fits.then_some(Self(limit))
            .ok_or("`limit` is a number from 1 to 100")
    }
}

/// An error response.
#[derive(Debug, Clone)]
pub(super) struct HttpError {
    status: StatusCode,
    message: String,
    retry_after_s: Option<u64>,
}

impl HttpError {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after_s: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// For a dependency that cannot be reached.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::retry_after(RETRY_UNAVAILABLE_S, message)
    }

    fn retry_after(seconds: u64, message: impl Into<String>) -> Self {
        let message = format!("{}; retry after {seconds} s", message.into());
        Self {
            retry_after_s: Some(seconds),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
        }
    }
}

/// The fallback of every router.
pub(super) async fn no_route() -> HttpError {
    HttpError::not_found("there is nothing here")
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let body = Json(json!({ "error": self.message }));
        let mut response = (self.status, body).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        // For the log line.
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::Unavailable { .. } => Self::unavailable(message),
            Failure::Saturated { .. } => Self::retry_after(RETRY_SATURATED_S, message),
            Failure::Refused { .. } => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

impl From<QueryRejection> for HttpError {
    fn from(rejection: QueryRejection) -> Self {
        Self::bad_request(rejection.body_text())
    }
}

impl From<PathRejection> for HttpError {
    fn from(_: PathRejection) -> Self {
        Self::not_found("there is nothing here")
    }
}

/// What [`observe`] needs.
#[derive(Debug, Clone)]
pub(super) struct Observer {
    pub(super) log: Log,
    pub(super) metrics: Arc<Metrics>,
    pub(super) requests: TaskTracker,
}

/// Middleware: logs and counts each request. The request runs in a task of its own, so that it is
/// finished and logged even if its client closes the connection.
pub(super) async fn observe(
    State(observer): State<Observer>,
    request: Request,
    next: Next,
) -> Response {
    let requests = observer.requests.clone();
    let answer = requests.spawn(async move {
        let clock = observer.log.clock();
        let begun = clock.now();
        let id = request.headers().get("x-request-id");
        let id = id.and_then(|id| id.to_str().ok()).map(str::to_owned);
        let id = id.unwrap_or_else(|| Uuid::new_v4().to_string());
        let method = request.method().clone();
        // A bounded set, whatever clients send.
        let route = request.extensions().get::<MatchedPath>();
        let route = route.map_or_else(
            || "other".to_owned(),
            |path| path.as_str().replace("{id}", "{}"),
        );
        let response = next.run(request).await;
        let latency = clock.now().since(begun);
        let status = response.status().as_u16();
        observer.metrics.answered(&route, status, latency);
        observer.log_request(&id, &method, &route, &response, latency);
        response
    });
    answer.await.unwrap_or_else(|_| {
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "the request failed").into_response()
    })
}

impl Observer {
    fn log_request(
        &self,
        id: &str,
        method: &Method,
        route: &str,
        response: &Response,
        latency: Duration,
    ) {
        let status = response.status();
        let operation = format!("{method} {route}");
        let mut fields = json!({
            "request_id": id,
            "operation": operation,
            "latency_ms": (latency.as_secs_f64() * 1e6).round() / 1e3,
            "outcome": status.as_u16(),
        });
        if let Some(error) = response.extensions().get::<HttpError>() {
            fields["error"] = Value::from(error.message.as_str());
        }
        if status.is_server_error() {
            let key = format!("{operation} {}", status.as_u16());
            self.log
                .limited(Level::Warn, &key, "request failed", fields);
        } else {
            self.log.info("request", fields);
        }
    }
}
