//! The workflow server: keeps projects, one database each, and work items that refer to codebase.

mod items;
mod projects;
mod references;

use std::sync::Arc;

use hyper::{Method, StatusCode};
use serde_json::json;

use super::health::HealthCheckResponse;
use super::host::{Error, Host};
use super::http::{App, Reply, Request};
use super::metrics::{self, Metrics};
use super::pool::{Operation, Pool, Setup, Size};
use super::{DatabaseArgs, Defect, ListenArgs, schema};
use crate::units::{Clock, Period};
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

/// Serves until the process is told to stop.
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
        schema: schema::script(projects::LOCK, projects::REGISTRY_TABLES),
        clock: host.clock,
        log: host.log.clone(),
        rng: Host::dice(),
    });
    let projects = Projects::new(projects::Setup {
        registry: registry.clone(),
        config: args.database.database_url.clone(),
        homes: args.homes.clone(),
        settings,
        clock: host.clock,
        log: host.log.clone(),
    });
    let app = Workflow {
        clock: host.clock,
        metrics: Arc::clone(&host.metrics),
        registry: registry.clone(),
        projects: projects.clone(),
        references: References::new(&args.codebase_url, args.codebase_timeout.get()),
        turn: tokio::sync::Mutex::new(()),
        defect,
    };
    let outcome = host.serve(app, registry.unfit()).await;
    projects.close().await;
    registry.close().await;
    outcome
}

struct Workflow {
    clock: Clock,
    metrics: Arc<Metrics>,
    registry: Pool,
    projects: Projects,
    references: References,
    /// Held by nobody unless requests wait for each other.
    turn: tokio::sync::Mutex<()>,
    defect: Option<Defect>,
}

impl App for Workflow {
    const ROUTES: &'static [&'static str] = &[
        "/health",
        "/metrics",
        "/projects",
        "/work-items",
        "/work-items/{}",
    ];

    async fn answer(&self, request: &Request) -> Reply {
        let reply = match (&request.method, request.segments().as_slice()) {
            (&Method::GET, ["health"]) => Ok(self.health().await),
            (&Method::GET, ["metrics"]) => Ok(self.metrics()),
            (&Method::GET, ["projects"]) => self.projects.list().await,
            (&Method::POST, ["projects"]) => self.projects.create(request).await,
            (&Method::GET, ["work-items"]) => {
                if self.defect == Some(Defect::SharedFate) {
                    self.references.look_around().await;
                }
                if self.defect == Some(Defect::ErrorWith200) && !self.references.answer().await {
                    return Reply::json(StatusCode::OK, &unavailable());
                }
                let _turn = match self.defect {
                    Some(Defect::OneAtATime) => Some(self.turn.lock().await),
                    _ => None,
                };
                items::list(&self.projects, request).await
            }
            (&Method::POST, ["work-items"]) => {
                items::create(&self.projects, &self.references, request).await
            }
            (&Method::GET, ["work-items", id]) => {
                items::get(&self.projects, &self.references, request, id).await
            }
            _ => Err(Reply::not_found()),
        };
        reply.unwrap_or_else(|error| error)
    }
}

impl Workflow {
    async fn health(&self) -> Reply {
        if self.defect == Some(Defect::HealthWaits)
            && let Err(failure) = self.registry.run(&PING, &[]).await
        {
            let body = json!({ "status": "unhealthy", "error": failure.to_string() });
            return Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body);
        }
        let (now, uptime) = Host::times(&self.clock);
        let health = HealthCheckResponse::new(&self.registry.snapshot(), now, uptime);
        Reply::json(health.status_code(), &health)
    }

    fn metrics(&self) -> Reply {
        let pool = metrics::render_pool(&self.registry.snapshot(), &self.registry.counters());
        Reply::metrics(self.metrics.render() + &pool)
    }
}

/// What an MCP server says of a tool that failed.
fn unavailable() -> serde_json::Value {
    let error = json!({ "code": -32000, "message": "codebase is unavailable" });
    json!({ "jsonrpc": "2.0", "id": null, "error": error })
}

const PING: Operation = Operation::new("ping", "SELECT 1", &[]);
