//! Texts to vectors, by hashing words: deterministic, and good enough to rank by likeness.
//!
//! `chaosproxy demo embeddings` offers it over HTTP, so that codebase has a dependency that can
//! fail.

use std::net::SocketAddr;

use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::ListenArgs;
use super::host::{Error, Host};
use super::http::{Body, HttpError};

/// Length of a vector.
const DIMENSIONS: usize = 32;
/// Texts in one request.
const MAX_TEXTS: usize = 1000;

/// Arguments of the embeddings server.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    /// Port on the loopback interface.
    #[arg(long, env = "EMBEDDINGS_PORT", default_value_t = 11434)]
    port: u16,
}

/// Serves until the process gets a signal.
pub async fn run(args: &Args) -> Result<(), Error> {
    let address: SocketAddr = args.listen.or_port(args.port);
    let host = Host::bind("embeddings", address, "EMBEDDINGS_PORT", None).await?;
    let health = async || Json(json!({ "status": "healthy" }));
    let routes = Router::new()
        .route("/health", get(health))
        .route("/embed", post(embed_all));
    host.serve(routes, None).await
}

/// The vector of `text`, of length 1 unless the text holds no word.
pub(super) fn embed(text: &str) -> Vec<f32> {
    let mut vector = vec![0.0_f32; DIMENSIONS];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        if !word.is_empty() {
            let hash = fnv1a(word);
            let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
            let place = (hash >> 1) % DIMENSIONS as u64;
            vector[usize::try_from(place).unwrap_or_default()] += sign;
        }
    }
    let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
    if length > 0.0 {
        for x in &mut vector {
            *x /= length;
        }
    }
    vector
}

fn fnv1a(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
    })
}

#[derive(Deserialize)]
struct Texts {
    texts: Vec<String>,
}

/// `POST /embed`.
async fn embed_all(Body(Texts { texts }): Body<Texts>) -> Result<Json<Value>, HttpError> {
    if texts.len() > MAX_TEXTS {
        let message = format!("at most {MAX_TEXTS} texts at a time");
        return Err(HttpError::bad_request(message));
    }
    let vectors: Vec<_> = texts.iter().map(|text| embed(text)).collect();
    Ok(Json(json!({ "vectors": vectors })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_texts_have_like_vectors() {
        let dot =
            |a: &str, b: &str| -> f32 { embed(a).iter().zip(embed(b)).map(|(a, b)| a * b).sum() };
        assert!((dot("parse the header", "the header, PARSE") - 1.0).abs() < 1e-5);
        assert!(dot("parse the header", "parse the body") > dot("parse the header", "open socket"));
        assert!(embed("").iter().all(|x| *x == 0.0));
    }
}
