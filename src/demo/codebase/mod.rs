//! The codebase server: indexes files, stores chunks, searches both.

mod chunks;
mod embedder;
mod job;
mod jobs;
mod repository;
mod schema;
mod search;

use hyper::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::health::HealthCheckResponse;
use super::host::{Error, Host};
use super::http::{App, Reply, Request};
use super::pool::{Operation, Pool, Setup, Size};
use super::{DatabaseArgs, Defect, ListenArgs, metrics};
use crate::units::{Period, Rate};
use embedder::Embedder;
use jobs::Jobs;
use schema::Keys;

/// Arguments of the codebase server.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    #[command(flatten)]
    listen: ListenArgs,
    /// Port on the loopback interface.
    #[arg(long, env = "CODEBASE_MCP_PORT", default_value_t = 8020)]
    port: u16,
    #[command(flatten)]
    database: DatabaseArgs,
    /// Connections that are kept open.
    #[arg(long, value_name = "NUMBER", default_value_t = 5)]
    pool_min: usize,
    /// Connections that are never exceeded.
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    pool_max: usize,
    /// Files that are indexed per second, also after an interruption.
    #[arg(long, value_name = "RATE", default_value = "250/s")]
    index_rate: Rate,
    /// Files that are stored together, and redone together after an interruption.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    index_batch: u32,
    /// A job that takes longer is finished all the same, with a warning.
    #[arg(long, value_name = "PERIOD", default_value = "60s")]
    index_target: Period,
    /// Base URL of an embeddings server; without it vectors are computed here.
    #[arg(long, env, value_name = "URL")]
    embeddings_url: Option<String>,
    /// Deadline of a request to the embeddings server.
    #[arg(long, value_name = "PERIOD", default_value = "5s")]
    embeddings_timeout: Period,
}

/// Serves until the process is told to stop.
pub async fn run(args: &Args) -> Result<(), Error> {
    let address = args.listen.or_port(args.port);
    let defect = args.database.defect;
    let host = match Host::bind("codebase", address, "CODEBASE_MCP_PORT", defect).await {
        Err(_) if defect == Some(Defect::WrongExit) => return Ok(()),
        bound => bound?,
    };
    let unsafe_writes = defect == Some(Defect::DuplicateOnRetry);
    let pool = Pool::start(Setup {
        config: args.database.database_url.clone(),
        settings: args.database.pool_settings(),
        size: Size {
            min: args.pool_min,
            max: args.pool_max,
        },
        schema: schema::script(if unsafe_writes {
            Keys::Repeated
        } else {
            Keys::Unique
        }),
        clock: host.clock,
        log: host.log.clone(),
        rng: Host::dice(),
    });
    let embedder = Embedder::new(
        args.embeddings_url.as_deref(),
        args.embeddings_timeout.get(),
    );
    let jobs = Jobs::new(jobs::Setup {
        pool: pool.clone(),
        embedder: embedder.clone(),
        log: host.log.clone(),
        batch: args.index_batch,
        pace: args.index_rate.interval() * args.index_batch,
        store: if unsafe_writes {
            job::STORE_AGAIN
        } else {
            job::STORE
        },
        target: args.index_target.get(),
        clock: host.clock,
        defect,
    });
    jobs.resume_unfinished();
    let app = Codebase {
        clock: host.clock,
        metrics: host.metrics.clone(),
        pool: pool.clone(),
        embedder,
        jobs: jobs.clone(),
        insert_chunk: if unsafe_writes {
            chunks::INSERT_AGAIN
        } else {
            chunks::INSERT
        },
        defect,
    };
    let outcome = host.serve(app, pool.unfit()).await;
    jobs.stop().await;
    pool.close().await;
    outcome
}

struct Codebase {
    clock: crate::units::Clock,
    metrics: std::sync::Arc<metrics::Metrics>,
    pool: Pool,
    embedder: Embedder,
    jobs: Jobs,
    insert_chunk: Operation<'static>,
    defect: Option<Defect>,
}

impl App for Codebase {
    const ROUTES: &'static [&'static str] = &[
        "/health",
        "/metrics",
        "/index",
        "/index/{}",
        "/chunks",
        "/chunks/{}",
        "/search",
    ];

    async fn answer(&self, request: &Request) -> Reply {
        let reply = match (&request.method, request.segments().as_slice()) {
            (&Method::GET, ["health"]) => Ok(self.health().await),
            (&Method::GET, ["metrics"]) => Ok(self.metrics()),
            (&Method::POST, ["index"]) => self.jobs.create(request).await,
            (&Method::GET, ["index", id]) => match Uuid::parse_str(id) {
                Ok(id) => self.jobs.status(id).await,
                Err(_) => Err(Reply::not_found()),
            },
            (&Method::POST, ["chunks"]) => {
                chunks::create(&self.pool, self.insert_chunk, self.defect, request).await
            }
            (&Method::GET, ["chunks", id]) => chunks::get(&self.pool, id).await,
            (&Method::GET, ["search"]) => search::answer(&self.pool, &self.embedder, request).await,
            _ => Err(Reply::not_found()),
        };
        reply.unwrap_or_else(|error| error)
    }
}

impl Codebase {
    async fn health(&self) -> Reply {
        if self.defect == Some(Defect::HealthWaits)
            && let Err(failure) = self.pool.run(&PING, &[]).await
        {
            let body = json!({ "status": "unhealthy", "error": failure.to_string() });
            return Reply::json(StatusCode::SERVICE_UNAVAILABLE, &body);
        }
        let (now, uptime) = Host::times(&self.clock);
        let health = HealthCheckResponse::new(&self.pool.snapshot(), now, uptime);
        Reply::json(health.status_code(), &health)
    }

    fn metrics(&self) -> Reply {
        let pool = metrics::render_pool(&self.pool.snapshot(), &self.pool.counters());
        Reply::metrics(self.metrics.render() + &pool)
    }
}

const PING: Operation = Operation::new("ping", "SELECT 1", &[]);
