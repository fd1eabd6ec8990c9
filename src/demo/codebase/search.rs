//! Search: the words select, the vectors rank.

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;
use tokio_postgres::types::Type;

use super::embedder::Embedder;
use crate::demo::http::{Reply, Request};
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

/// `GET /search?q=…&limit=…`.
pub(super) async fn answer(
    pool: &Pool,
    embedder: &Embedder,
    request: &Request,
) -> Result<Reply, Reply> {
    let limit = usize::try_from(request.limit()?).unwrap_or_default();
    let words = request
        .parameter("q")
        .filter(|q| !q.trim().is_empty())
        .ok_or_else(|| Reply::error(StatusCode::BAD_REQUEST, "`q` holds the words to search"))?;
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
    let ranked = rank(&words, &mut hits, embedder).await;
    hits.truncate(limit);
    let body = json!({ "results": hits, "ranked": ranked });
    Ok(Reply::json(StatusCode::OK, &body))
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
