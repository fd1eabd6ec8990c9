//! Chunks of text that clients store under ids of their own.

use std::time::Duration;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::json;
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::demo::Defect;
use crate::demo::http::{Reply, Request};
use crate::demo::pool::{Failure, Operation, Pool};

/// Stores a chunk; storing it again changes nothing.
pub(super) const INSERT: Operation = Operation::new(
    "insert chunk",
    "INSERT INTO chunks (id, text) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
    &[Type::UUID, Type::TEXT],
);

/// Stores a chunk; storing it again stores another one. It is kept for when the database is back,
/// long after its client has gone.
pub(super) const INSERT_AGAIN: Operation = Operation {
    sql: "INSERT INTO chunks (id, text) VALUES ($1, $2)",
    patience: Some(Duration::from_secs(30)),
    ..INSERT
};

const SELECT: Operation = Operation::new(
    "get chunk",
    "SELECT text FROM chunks WHERE id = $1 LIMIT 1",
    &[Type::UUID],
);

#[derive(Deserialize)]
struct Chunk {
    id: Uuid,
    text: String,
}

/// `POST /chunks`: answers 201 only after the chunk was committed. After a 503 the client does not
/// know whether it is there, and may send it again under the same id.
pub(super) async fn create(
    pool: &Pool,
    insert: Operation<'static>,
    defect: Option<Defect>,
    request: &Request,
) -> Result<Reply, Reply> {
    let Chunk { id, text } = request.json()?;
    let created = Reply::json(StatusCode::CREATED, &json!({ "id": id }));
    if defect == Some(Defect::LostAcknowledgedWrite) {
        let pool = pool.clone();
        tokio::spawn(async move { pool.run(&insert, &[&id, &text]).await });
        return Ok(created);
    }
    match pool.run(&insert, &[&id, &text]).await {
        Err(Failure::Unavailable { .. }) if defect == Some(Defect::ResurrectedWrite) => {
            let pool = pool.clone();
            tokio::spawn(async move {
                pool.available().await;
                pool.run(&insert, &[&id, &text]).await
            });
            let message = "the chunk was not stored";
            Err(Reply::error(StatusCode::REQUEST_TIMEOUT, message))
        }
        outcome => {
            outcome?;
            Ok(created)
        }
    }
}

/// `GET /chunks/{id}`.
pub(super) async fn get(pool: &Pool, id: &str) -> Result<Reply, Reply> {
    let id = Uuid::parse_str(id).map_err(|_| Reply::not_found())?;
    let rows = pool.run(&SELECT, &[&id]).await?;
    match rows.first() {
        Some(row) => {
            let body = json!({ "id": id, "text": row.get::<_, String>(0) });
            Ok(Reply::json(StatusCode::OK, &body))
        }
        None => Err(Reply::error(
            StatusCode::NOT_FOUND,
            format!("there is no chunk {id}; GET /search finds those that are there"),
        )),
    }
}
