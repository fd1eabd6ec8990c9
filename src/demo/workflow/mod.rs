//! The workflow server: keeps projects, one database each, and work items that refer to codebase.

mod items;
mod projects;
mod references;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::host::{Error, Host};
use super::pool::{Pool, Setup, Size};
use super::{DatabaseArgs, Defect, ListenArgs};
use crate::units::Period;
use projects::{Home, Projects};
use references::References;

/// Arguments of the workflow server.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    /// Port on the loopback interface.
    #[arg(long, env = "WORKFLOW_MCP_PORT", default_value_t = 8010)]
    port: u16,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Connections to the registry that are kept open.
    #[arg(long, value_name = "NUMBER", default_value_t = 2)]
    pool_min: usize,
    /// Connections to the registry that are never exceeded.
    #[arg(long, value_name = "NUMBER", default_value_t = 10)]
    pool_max: usize,
    /// A project whose database is not beside the registry's, with its URL; may be given several
    /// times.
    #[arg(long = "project", value_name = "NAME=URL")]
    homes: Vec<Home>,
    /// Base URL of the codebase server, which knows whether a reference is valid.
    #[arg(long, env, value_name = "URL", default_value = "http://127.0.0.1:8020")]
    codebase_url: String,
    /// Deadline of a request to codebase.
    #[arg(long, value_name = "PERIOD", default_value = "1s")]
    codebase_timeout: Period,
}

/// Serves until the process gets a signal.
pub async fn run(args: &Args) -> Result<(), Error> {
    let address = args.listen.or_port(args.port);
    let defect = args.database.defect;
    let host = match Host::bind("workflow", address, "WORKFLOW_MCP_PORT", defect).await {
        Err(_) if defect == Some(Defect::WrongExit) => return Ok(()),
        bound => bound?,
    };
    let settings = args.database.pool_settings();
    let registry = Pool::start(Setup {
        config: args.database.database_url.clone(),
        settings: settings.clone(),
        size: Size {
            min: args.pool_min,
            max: args.pool_max,
        },
        schema: projects::registry_schema(),
        log: host.log.clone(),
    });
    let projects = Projects::new(projects::Setup {
        registry: registry.clone(),
        config: args.database.database_url.clone(),
        homes: args.homes.clone(),
        settings,
        log: host.log.clone(),
    });
    let state = Workflow {
        projects: projects.clone(),
        references: References::new(&args.codebase_url, args.codebase_timeout.get()),
        read_lock: Arc::default(),
        defect,
    };
    let routes = Router::new()
        .route("/projects", get(projects::list).post(projects::create))
        .route("/work-items", get(items::list).post(items::create))
        .route("/work-items/{id}", get(items::get))
        .with_state(state);
    let outcome = host.serve(routes, Some(registry.clone())).await;
    projects.close().await;
    registry.close().await;
    outcome
}

/// What the routes share.
#[derive(Debug, Clone)]
struct Workflow {
    projects: Projects,
    references: References,
    /// Locked only with the defect `one-at-a-time`.
    read_lock: Arc<tokio::sync::Mutex<()>>,
    defect: Option<Defect>,
}
