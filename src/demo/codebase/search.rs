//! Search: the words select, the vectors rank.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio_postgres::types::Type;

use super::embedder::Embedder;
use crate::demo::http::{HttpError, Limit};
use crate::demo::pool::{Operation, Pool};

/// Candidates of each kind; a word that is everywhere must not fetch everything.
const CANDIDATES: Operation = Operation::new(
    "search",
    "(SELECT 'chunk', id::text, text FROM chunks
       WHERE words @@ plainto_tsquery('simple', $1) LIMIT 100)
     UNION ALL
     (SELECT 'file', file, content FROM indexed_files
       WHERE words @@ plainto_tsquery('simple', $1) LIMIT 100)",
    &[Type::TEXT],
);

#[derive(Serialize)]
struct Hit {
    kind: String,
    key: String,
    text: String,
    score: f32,
}

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    q: String,
    #[serde(default)]
    limit: Limit,
}

/// `GET /search?q=…&limit=…`.
pub(super) async fn search(
    State((pool, embedder)): State<(Pool, Embedder)>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let Query(Parameters { q: words, limit }) = parameters?;
    if words.trim().is_empty() {
        return Err(HttpError::bad_request("`q` holds the words to search"));
    }
    let rows = pool.run(&CANDIDATES, &[&words]).await?;
    let mut hits: Vec<Hit> = rows
        .iter()
        .map(|row| Hit {
            kind: row.get(0),
            key: row.get(1),
            text: row.get(2),
            score: 0.0,
        })
        .collect();
    let ranked = rank(&words, &mut hits, &embedder).await;
    hits.truncate(usize::try_from(limit.0).unwrap_or_default());
    Ok(Json(json!({ "results": hits, "ranked": ranked })))
}

/// Sorts by likeness; without vectors the order stays as it is, which is better than no answer.
async fn rank(words: &str, hits: &mut [Hit], embedder: &Embedder) -> bool {
    let mut texts = vec![words];
    texts.extend(hits.iter().map(|hit| hit.text.as_str()));
    let Ok(vectors) = embedder.embed(&texts).await else {
        return false;
    };
    if let Some((wanted, found)) = vectors.split_first() {
        for (hit, vector) in hits.iter_mut().zip(found) {
            hit.score = wanted.iter().zip(vector).map(|(a, b)| a * b).sum();
        }
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score));
    true
}
