//! HTTP requests to other servers, each with a deadline.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Inner;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// Longest answer that is read.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Why another server gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// It did not answer in time.
    #[error("no answer from {url} within {} ms", .deadline.as_millis())]
    TimedOut {
        /// Whom was asked.
        url: String,
        /// How long.
        deadline: Duration,
    },
    /// It could not be reached, or what it said was no answer.
    #[error("no answer from {url}: {cause}")]
    Failed {
        /// Whom was asked.
        url: String,
        /// What happened.
        cause: String,
    },
}

/// Speaks to one other server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    inner: Inner<HttpConnector, Full<Bytes>>,
    base: String,
    deadline: Duration,
}

impl Client {
    /// A client of the server at `base`, which waits for each answer until `deadline`.
    pub(super) fn new(base: &str, deadline: Duration) -> Self {
        Self {
            inner: Inner::builder(TokioExecutor::new()).build_http(),
            base: base.trim_end_matches('/').to_owned(),
            deadline,
        }
    }

    /// Sends a GET request and reads the JSON answer.
    pub(super) async fn get(&self, path: &str) -> Result<(StatusCode, Value), Error> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Sends a JSON body and reads the JSON answer.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Error> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Value), Error> {
        let url = format!("{}{path}", self.base);
        let failed = |cause: String| Error::Failed {
            url: url.clone(),
            cause,
        };
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(Full::new(body))
            .map_err(|error| failed(error.to_string()))?;
        let exchange = async {
            let response = self.inner.request(request).await;
            let response = response.map_err(|error| failed(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect();
            let body = body.await.map_err(|error| failed(error.to_string()))?;
            let json = serde_json::from_slice(&body.to_bytes());
            Ok((status, json.map_err(|error| failed(error.to_string()))?))
        };
        timeout(self.deadline, exchange).await.unwrap_or_else(|_| {
            Err(Error::TimedOut {
                url: url.clone(),
                deadline: self.deadline,
            })
        })
    }
}
