//! JSON over HTTP to another server, with a deadline.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Inner, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

/// Longest response that is read.
const MAX_RESPONSE_BYTES: usize = 16 << 20;

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}: {cause}")]
pub(super) struct Error {
    url: String,
    cause: String,
}

/// Sends requests to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Client {
    inner: Inner<HttpConnector, Body>,
    base: String,
    deadline: Duration,
}

impl Client {
    /// A client of the server at `base`, which waits up to `deadline` for each response.
    pub(super) fn new(base: &str, deadline: Duration) -> Self {
        Self {
            inner: Inner::builder(TokioExecutor::new()).build_http(),
            base: base.trim_end_matches('/').to_owned(),
            deadline,
        }
    }

    /// Sends a GET request, or a POST request if there is a body; reads the JSON response.
    pub(super) async fn send(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), Error> {
        let url = format!("{}{path}", self.base);
        let exchange = async {
            let response = self.request(&url, body)?.await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_RESPONSE_BYTES).collect();
            let json = serde_json::from_slice(&body.await?.to_bytes())?;
            Ok((status, json))
        };
        let outcome: Result<_, Box<dyn std::error::Error + Send + Sync>> =
            timeout(self.deadline, exchange)
                .await
                .unwrap_or_else(|_| Err(format!("none within {:?}", self.deadline).into()));
        outcome.map_err(|cause| Error {
            url,
            cause: cause.to_string(),
        })
    }

    fn request(
        &self,
        url: &str,
        body: Option<&Value>,
    ) -> Result<ResponseFuture, axum::http::Error> {
        let request = match body {
            Some(_) => Request::post(url),
            None => Request::get(url),
        };
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .body(body)?;
        Ok(self.inner.request(request))
    }
}
