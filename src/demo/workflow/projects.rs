//! Projects: a registry in the default database, and a database with a small pool for each, beside
//! the registry's or elsewhere. Losing one project's database touches no other project.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::Workflow;
use crate::demo::http::{Body, HttpError};
use crate::demo::log::Log;
use crate::demo::pool::{self, Failure, Operation, Pool, Settings, Size};
use crate::demo::schema;

/// By this instances that make tables at the same time take turns.
const LOCK: u32 = 8010;

/// A project's tables. The registry has them too, for work items that belong to no project.
const PROJECT_TABLES: &str = "
CREATE TABLE IF NOT EXISTS work_items (
    id uuid PRIMARY KEY,
    title text NOT NULL,
    reference uuid,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS work_items_newest ON work_items (created_at DESC);
";

/// The script that makes the registry's tables.
pub(super) fn registry_schema() -> String {
    let tables = format!(
        "CREATE TABLE IF NOT EXISTS projects (
             name text PRIMARY KEY,
             created_at timestamptz NOT NULL DEFAULT now()
         );
         {PROJECT_TABLES}"
    );
    schema::script(LOCK, &tables)
}

const REGISTER: Operation = Operation::new(
    "register project",
    "INSERT INTO projects (name) VALUES ($1) ON CONFLICT (name) DO NOTHING",
    &[Type::TEXT],
);
const FIND: Operation = Operation::new(
    "find project",
    "SELECT 1 FROM projects WHERE name = $1",
    &[Type::TEXT],
);
const LIST: Operation = Operation::new(
    "list projects",
    "SELECT name FROM projects ORDER BY name LIMIT 1000",
    &[],
);

/// Copying the template takes a while.
const CREATE_DATABASE_DEADLINE: Duration = Duration::from_secs(10);
/// Connections per project.
const SIZE: Size = Size { min: 1, max: 5 };
/// Longest name of a project.
const MAX_NAME: usize = 40;

/// What projects work with.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) registry: Pool,
    /// How to reach the registry's database; the others are on the same server.
    pub(super) config: Config,
    /// Those that are not.
    pub(super) homes: Vec<Home>,
    pub(super) settings: Settings,
    pub(super) log: Log,
}

/// A project with a database of its own, on a server of its own.
#[derive(Debug, Clone)]
pub(super) struct Home {
    name: String,
    config: Config,
}

impl FromStr for Home {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, url) = text.split_once('=').ok_or("write NAME=URL")?;
        Ok(Self {
            name: name.to_owned(),
            config: url
                .parse()
                .map_err(|error: tokio_postgres::Error| error.to_string())?,
        })
    }
}

/// The projects' databases. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Projects {
    setup: Arc<Setup>,
    pools: Arc<Mutex<HashMap<String, Pool>>>,
}

#[derive(Deserialize)]
pub(super) struct NewProject {
    name: String,
}

/// `POST /projects`; creating a project that exists changes nothing.
pub(super) async fn create(
    State(Workflow { projects, .. }): State<Workflow>,
    Body(NewProject { name }): Body<NewProject>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    check(&name)?;
    if projects.home(&name).is_none() {
        projects.create_database(&name).await?;
    }
    projects.setup.registry.run(&REGISTER, &[&name]).await?;
    Ok((StatusCode::CREATED, Json(json!({ "name": name }))))
}

/// `GET /projects`.
pub(super) async fn list(
    State(Workflow { projects, .. }): State<Workflow>,
) -> Result<Json<Value>, HttpError> {
    let rows = projects.setup.registry.run(&LIST, &[]).await?;
    let names: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    Ok(Json(json!({ "projects": names })))
}

impl Projects {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup: Arc::new(setup),
            pools: Arc::default(),
        }
    }

    /// Where the work items of `project` are; of no project, in the registry.
    pub(super) async fn pool(&self, project: Option<&str>) -> Result<Pool, HttpError> {
        let Some(name) = project else {
            return Ok(self.setup.registry.clone());
        };
        check(name)?;
        if let Some(pool) = self.open().get(name) {
            return Ok(pool.clone());
        }
        let known = self.home(name).is_some()
            || !self.setup.registry.run(&FIND, &[&name]).await?.is_empty();
        if !known {
            let message = format!("there is no project `{name}`; POST /projects creates it");
            return Err(HttpError::not_found(message));
        }
        let mut open = self.open();
        let pool = open.entry(name.to_owned());
        Ok(pool.or_insert_with(|| self.connect(name)).clone())
    }

    /// Closes every project's connections.
    pub(super) async fn close(&self) {
        let pools = std::mem::take(&mut *self.open());
        for pool in pools.values() {
            pool.close().await;
        }
    }

    fn connect(&self, name: &str) -> Pool {
        let config = self.home(name).cloned().unwrap_or_else(|| {
            let mut beside = self.setup.config.clone();
            beside.dbname(database(name));
            beside
        });
        Pool::start(pool::Setup {
            config,
            settings: self.setup.settings.clone(),
            size: SIZE,
            schema: schema::script(LOCK, PROJECT_TABLES),
            log: self.setup.log.clone(),
        })
    }

    /// How to reach a project's database that is not beside the registry's.
    fn home(&self, name: &str) -> Option<&Config> {
        let home = self.setup.homes.iter().find(|home| home.name == name);
        home.map(|home| &home.config)
    }

    async fn create_database(&self, name: &str) -> Result<(), Failure> {
        // A name cannot be a parameter; `check` has seen to it that it needs no quoting.
        let sql = format!("CREATE DATABASE {}", database(name));
        let operation = Operation {
            name: "create database",
            sql: &sql,
            types: &[],
            deadline: Some(CREATE_DATABASE_DEADLINE),
            max_wait: None,
        };
        match self.setup.registry.run(&operation, &[]).await {
            Err(Failure::Refused { source, .. })
                if source.code() == Some(&SqlState::DUPLICATE_DATABASE) =>
            {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    fn open(&self) -> std::sync::MutexGuard<'_, HashMap<String, Pool>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn database(project: &str) -> String {
    format!("project_{project}")
}

fn check(name: &str) -> Result<(), HttpError> {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    fits.then_some(()).ok_or_else(|| {
        HttpError::bad_request(format!(
            "a project's name is 1 to {MAX_NAME} of a-z, 0-9 and _"
        ))
    })
}
