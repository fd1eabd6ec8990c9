//! The codebase server: indexes files, stores chunks, searches both.

mod chunks;
mod embedder;
mod job;
mod jobs;
mod repository;
mod schema;
mod search;

use axum::Router;
use axum::routing::{get, post};

use super::host::{Error, Host};
use super::pool::{Pool, Setup, Size};
use super::{DatabaseArgs, Defect, ListenArgs};
use crate::units::{Period, Rate};
use chunks::Chunks;
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

/// Serves until the process gets a signal.
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
        log: host.log.clone(),
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
        defect,
    });
    jobs.resume_unfinished();
    let chunks = Chunks {
        pool: pool.clone(),
        insert: if unsafe_writes {
            chunks::INSERT_AGAIN
        } else {
            chunks::INSERT
        },
        defect,
    };
    let routes = Router::new()
        .route("/index", post(jobs::create))
        .route("/index/{id}", get(jobs::status))
        .with_state(jobs.clone())
        .merge(chunks.routes())
        .merge(
            Router::new()
                .route("/search", get(search::search))
                .with_state((pool.clone(), embedder)),
        );
    let outcome = host.serve(routes, Some(pool.clone())).await;
    jobs.stop().await;
    pool.close().await;
    outcome
}
