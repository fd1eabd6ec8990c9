//! Texts to vectors, by hashing words: deterministic, and good enough to rank by likeness.
//!
//! `chaosproxy demo embeddings` offers it over HTTP, so that codebase has a dependency that can
//! fail.

use std::future::pending;
use std::net::SocketAddr;

use hyper::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::ListenArgs;
use super::host::{Error, Host};
use super::http::{App, Reply, Request};

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

/// Serves until the process is told to stop.
pub async fn run(args: &Args) -> Result<(), Error> {
    let address: SocketAddr = args.listen.or_port(args.port);
    let host = Host::bind("embeddings", address, "EMBEDDINGS_PORT", None).await?;
    host.serve(Embeddings, pending()).await
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

struct Embeddings;

#[derive(Deserialize)]
struct Texts {
    texts: Vec<String>,
}

impl App for Embeddings {
    const ROUTES: &'static [&'static str] = &["/embed", "/health"];

    async fn answer(&self, request: &Request) -> Reply {
        match (&request.method, request.segments().as_slice()) {
            (&Method::GET, ["health"]) => {
                Reply::json(StatusCode::OK, &json!({"status": "healthy"}))
            }
            (&Method::POST, ["embed"]) => match request.json::<Texts>() {
                Ok(Texts { texts }) if texts.len() <= MAX_TEXTS => {
                    let vectors: Vec<_> = texts.iter().map(|text| embed(text)).collect();
                    Reply::json(StatusCode::OK, &json!({ "vectors": vectors }))
                }
                Ok(_) => Reply::error(
                    StatusCode::BAD_REQUEST,
                    format!("at most {MAX_TEXTS} texts at a time"),
                ),
                Err(reply) => reply,
            },
            _ => Reply::not_found(),
        }
    }
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
