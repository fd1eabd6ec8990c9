//! Work items. Reading a list never touches codebase; creating one asks it whether the reference is
//! valid, and says so if that cannot be found out.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::Workflow;
use super::references::{Reference, References};
use crate::demo::Defect;
use crate::demo::http::{Body, HttpError, Limit};
use crate::demo::pool::{Failure, Operation};

const INSERT: Operation = Operation::new(
    "create work item",
    "INSERT INTO work_items (id, title, reference) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
    &[Type::UUID, Type::TEXT, Type::UUID],
);
const NEWEST: Operation = Operation::new(
    "list work items",
    "SELECT id, title, reference FROM work_items ORDER BY created_at DESC LIMIT $1",
    &[Type::INT8],
);
const SELECT: Operation = Operation::new(
    "get work item",
    "SELECT id, title, reference FROM work_items WHERE id = $1",
    &[Type::UUID],
);

#[derive(Deserialize)]
pub(super) struct NewItem {
    /// Set by clients that want to be able to send the request again.
    id: Option<Uuid>,
    title: String,
    project: Option<String>,
    reference: Option<Uuid>,
}

#[derive(Deserialize)]
pub(super) struct Parameters {
    #[serde(default)]
    limit: Limit,
    project: Option<String>,
}

/// `POST /work-items`.
pub(super) async fn create(
    State(workflow): State<Workflow>,
    Body(item): Body<NewItem>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    if let Some(reference) = item.reference {
        check(&workflow.references, reference).await?;
    }
    let pool = workflow.projects.pool(item.project.as_deref()).await?;
    // Chosen before the first attempt, so that a second one does not create a second item.
    let id = item.id.unwrap_or_else(Uuid::new_v4);
    pool.run(&INSERT, &[&id, &item.title, &item.reference])
        .await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// `GET /work-items?limit=…&project=…`, newest first.
pub(super) async fn list(
    State(workflow): State<Workflow>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Response, HttpError> {
    let Query(Parameters { limit, project }) = parameters?;
    let (projects, defect) = (&workflow.projects, workflow.defect);
    if defect == Some(Defect::SharedFate) {
        workflow.references.answer().await;
    }
    if defect == Some(Defect::ErrorWith200) && !workflow.references.answer().await {
        // What an MCP server says of a tool that failed.
        let error = json!({ "code": -32000, "message": "codebase is unavailable" });
        let body = json!({ "jsonrpc": "2.0", "id": null, "error": error });
        return Ok(Json(body).into_response());
    }
    let _guard = match defect {
        Some(Defect::OneAtATime) => Some(workflow.read_lock.lock().await),
        _ => None,
    };
    let pool = projects.pool(project.as_deref()).await?;
    let rows = match pool.run(&NEWEST, &[&limit.0]).await {
        Err(Failure::Unavailable { .. }) if defect == Some(Defect::EmptyAnswer) => Vec::new(),
        Err(Failure::Unavailable { .. }) if defect == Some(Defect::SilentFallback) => {
            projects.pool(None).await?.run(&NEWEST, &[&limit.0]).await?
        }
        outcome => outcome?,
    };
    let items: Vec<Value> = rows.iter().map(item).collect();
    Ok(Json(json!({ "work_items": items })).into_response())
}

/// `GET /work-items/{id}?project=…`, with the text of its reference, or a placeholder.
pub(super) async fn get(
    State(workflow): State<Workflow>,
    id: Result<Path<Uuid>, PathRejection>,
    parameters: Result<Query<Parameters>, QueryRejection>,
) -> Result<Json<Value>, HttpError> {
    let (Path(id), Query(parameters)) = (id?, parameters?);
    let pool = workflow
        .projects
        .pool(parameters.project.as_deref())
        .await?;
    let rows = pool.run(&SELECT, &[&id]).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| HttpError::not_found(format!("there is no work item {id}")))?;
    let mut body = item(row);
    if let Some(reference) = row.get(2) {
        body["reference"] = json!(workflow.references.resolve(reference).await);
    }
    Ok(Json(body))
}

async fn check(references: &References, reference: Uuid) -> Result<(), HttpError> {
    match references.resolve(reference).await {
        Reference::Found { .. } => Ok(()),
        Reference::Gone { .. } => Err(HttpError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "codebase has no chunk {reference}; take the id of a result of its GET /search"
            ),
        )),
        Reference::Unknown { .. } => Err(HttpError::unavailable(
            "codebase is unavailable, so the reference cannot be checked; nothing was stored, and \
             work items without a reference can be created",
        )),
    }
}

fn item(row: &Row) -> Value {
    json!({
        "id": row.get::<_, Uuid>(0),
        "title": row.get::<_, String>(1),
        "reference": row.get::<_, Option<Uuid>>(2),
    })
}
