//! Work items. Reading a list never touches codebase; creating one asks it whether the reference is
//! valid, and says so if that cannot be found out.

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::projects::Projects;
use super::references::{Reference, References};
use crate::demo::Defect;
use crate::demo::http::{Reply, Request};
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
struct Wanted {
    /// Chosen by clients that want to be able to send the request again.
    id: Option<Uuid>,
    title: String,
    project: Option<String>,
    reference: Option<Uuid>,
}

/// `POST /work-items`.
pub(super) async fn create(
    projects: &Projects,
    references: &References,
    request: &Request,
) -> Result<Reply, Reply> {
    let wanted: Wanted = request.json()?;
    if let Some(reference) = wanted.reference {
        check(references, reference).await?;
    }
    let pool = projects.pool(wanted.project.as_deref()).await?;
    // Chosen before the first attempt, so that a second one does not create a second item.
    let id = wanted.id.unwrap_or_else(Uuid::new_v4);
    pool.run(&INSERT, &[&id, &wanted.title, &wanted.reference])
        .await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "id": id })))
}

/// `GET /work-items?limit=…&project=…`, newest first.
pub(super) async fn list(projects: &Projects, request: &Request) -> Result<Reply, Reply> {
    let limit = request.limit()?;
    let pool = projects
        .pool(request.parameter("project").as_deref())
        .await?;
    let rows = match pool.run(&NEWEST, &[&limit]).await {
        Err(Failure::Unavailable { .. }) if projects.has(Defect::EmptyAnswer) => Vec::new(),
        Err(Failure::Unavailable { .. }) if projects.has(Defect::SilentFallback) => {
            projects.pool(None).await?.run(&NEWEST, &[&limit]).await?
        }
        outcome => outcome?,
    };
    let items: Vec<Value> = rows.iter().map(item).collect();
    Ok(Reply::json(StatusCode::OK, &json!({ "work_items": items })))
}

/// `GET /work-items/{id}?project=…`, with what its reference stands for, or a placeholder.
pub(super) async fn get(
    projects: &Projects,
    references: &References,
    request: &Request,
    id: &str,
) -> Result<Reply, Reply> {
    let id = Uuid::parse_str(id).map_err(|_| Reply::not_found())?;
    let pool = projects
        .pool(request.parameter("project").as_deref())
        .await?;
    let rows = pool.run(&SELECT, &[&id]).await?;
    let Some(row) = rows.first() else {
        return Err(Reply::not_found());
    };
    let mut body = item(row);
    if let Some(reference) = row.get(2) {
        body["reference"] = json!(references.resolve(reference).await);
    }
    Ok(Reply::json(StatusCode::OK, &body))
}

async fn check(references: &References, reference: Uuid) -> Result<(), Reply> {
    match references.resolve(reference).await {
        Reference::Found { .. } => Ok(()),
        Reference::Gone { .. } => Err(Reply::error(
            StatusCode::UNPROCESSABLE_ENTITY,
            format!(
                "codebase has no chunk {reference}; take the id of a result of its GET /search"
            ),
        )),
        Reference::Unknown { .. } => Err(Reply::unavailable(
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
