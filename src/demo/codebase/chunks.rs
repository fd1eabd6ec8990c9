//! Chunks of text that clients store under ids of their own.

use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::types::Type;
use uuid::Uuid;

use crate::demo::Defect;
use crate::demo::http::{Body, HttpError};
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
    max_wait: Some(Duration::from_secs(30)),
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

/// What the routes of chunks need.
#[derive(Debug, Clone)]
pub(super) struct Chunks {
    pub(super) pool: Pool,
    pub(super) insert: Operation<'static>,
    pub(super) defect: Option<Defect>,
}

impl Chunks {
    pub(super) fn routes(self) -> Router {
        Router::new()
            .route("/chunks", post(create))
            .route("/chunks/{id}", get(read))
            .with_state(self)
    }
}

/// `POST /chunks`: answers 201 only after the chunk was committed. After a 503 the client does not
/// know whether it is there, and may send it again under the same id.
async fn create(
    State(chunks): State<Chunks>,
    Body(Chunk { id, text }): Body<Chunk>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    let Chunks {
        pool,
        insert,
        defect,
    } = chunks;
    let created = (StatusCode::CREATED, Json(json!({ "id": id })));
    if defect == Some(Defect::LostAcknowledgedWrite) {
        tokio::spawn(async move { pool.run(&insert, &[&id, &text]).await });
        return Ok(created);
    }
    match pool.run(&insert, &[&id, &text]).await {
        Err(Failure::Unavailable { .. }) if defect == Some(Defect::ResurrectedWrite) => {
            tokio::spawn(async move {
                pool.available().await;
                pool.run(&insert, &[&id, &text]).await
            });
            let message = "the chunk was not stored";
            Err(HttpError::new(StatusCode::REQUEST_TIMEOUT, message))
        }
        outcome => {
            outcome?;
            Ok(created)
        }
    }
}

/// `GET /chunks/{id}`.
async fn read(
    State(chunks): State<Chunks>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Value>, HttpError> {
    let Path(id) = id?;
    let rows = chunks.pool.run(&SELECT, &[&id]).await?;
    let row = rows.first().ok_or_else(|| {
        let message = format!("there is no chunk {id}; GET /search finds those that are there");
        HttpError::not_found(message)
    })?;
    let text: String = row.get(0);
    Ok(Json(json!({ "id": id, "text": text })))
}
