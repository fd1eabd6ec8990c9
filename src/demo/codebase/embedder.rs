//! Texts to vectors, here or by another server.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use crate::demo::client::{Client, Error as ClientError};
use crate::demo::embeddings;

/// Why there are no vectors.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The embeddings server gave no answer.
    #[error("embeddings are unavailable: {0}")]
    Unavailable(#[from] ClientError),
    /// The embeddings server's answer is not as many vectors as there were texts.
    #[error("embeddings are unavailable: the server answered {0} without a vector for each text")]
    Unusable(axum::http::StatusCode),
}

/// Where vectors come from.
#[derive(Debug, Clone)]
pub(super) enum Embedder {
    Here,
    Remote(Client),
}

#[derive(Deserialize)]
struct Vectors {
    vectors: Vec<Vec<f32>>,
}

impl Embedder {
    /// The server at `url`, or this process.
    pub(super) fn new(url: Option<&str>, deadline: Duration) -> Self {
        url.map_or(Self::Here, |url| Self::Remote(Client::new(url, deadline)))
    }

    /// A vector for each text.
    pub(super) async fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, Error> {
        match self {
            Self::Here => Ok(texts.iter().map(|text| embeddings::embed(text)).collect()),
            Self::Remote(client) => {
                let (status, body) = client
                    .send("/embed", Some(&json!({ "texts": texts })))
                    .await?;
                match serde_json::from_value(body) {
                    Ok(Vectors { vectors }) if vectors.len() == texts.len() => Ok(vectors),
                    _ => Err(Error::Unusable(status)),
                }
            }
        }
    }
}
