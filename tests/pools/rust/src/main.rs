//! A server on bb8, deadpool or sqlx: pools bb8|deadpool|sqlx ADDRESS DATABASE_URL; see
//! ../../python/threaded.py.

use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio_postgres::NoTls;

const MIN: u32 = 2;
const MAX: u32 = 4;
const WAIT: Duration = Duration::from_secs(2);

type Failure = Box<dyn Error + Send + Sync>;

enum Pool {
    Bb8(bb8::Pool<bb8_postgres::PostgresConnectionManager<NoTls>>),
    Deadpool(deadpool_postgres::Pool),
    Sqlx(sqlx::PgPool),
}

impl Pool {
    async fn open(library: &str, url: &str) -> Result<Self, Failure> {
        match library {
            "bb8" => {
                let config: tokio_postgres::Config = url.parse()?;
                let manager = bb8_postgres::PostgresConnectionManager::new(config, NoTls);
                let builder = bb8::Pool::builder().max_size(MAX).min_idle(MIN);
                Ok(Self::Bb8(builder.connection_timeout(WAIT).build(manager).await?))
            }
            "deadpool" => {
                let manager = deadpool_postgres::Manager::new(url.parse()?, NoTls);
                let builder = deadpool_postgres::Pool::builder(manager)
                    .max_size(MAX as usize)
                    .wait_timeout(Some(WAIT))
                    .create_timeout(Some(WAIT))
                    .recycle_timeout(Some(WAIT))
                    .runtime(deadpool_postgres::Runtime::Tokio1);
                Ok(Self::Deadpool(builder.build()?))
            }
            "sqlx" => {
                let options = sqlx::postgres::PgPoolOptions::new()
                    .min_connections(MIN)
                    .max_connections(MAX)
                    .acquire_timeout(WAIT);
                let url = format!("{url}?sslmode=disable");
                Ok(Self::Sqlx(options.connect(&url).await?))
            }
            other => Err(format!("no pool is called {other}").into()),
        }
    }

    async fn work(&self) -> Result<(), Failure> {
        match self {
            Self::Bb8(pool) => drop(pool.get().await?.query_one("SELECT 1", &[]).await?),
            Self::Deadpool(pool) => drop(pool.get().await?.query_one("SELECT 1", &[]).await?),
            Self::Sqlx(pool) => drop(sqlx::query("SELECT 1").fetch_one(pool).await?),
        }
        Ok(())
    }
}

struct Server {
    pool: Pool,
    last_error: Mutex<Option<String>>,
}

type Answer = (StatusCode, String);

fn answer(error: Option<String>) -> Answer {
    match error {
        None => (StatusCode::OK, "ok".to_owned()),
        Some(error) => (StatusCode::SERVICE_UNAVAILABLE, error),
    }
}

async fn work(State(server): State<Arc<Server>>) -> Answer {
    let error = server.pool.work().await.err().map(|error| error.to_string());
    if let Some(error) = &error {
        eprintln!("work failed: {error}");
    }
    (*server.last_error.lock().unwrap()).clone_from(&error);
    answer(error)
}

async fn health(State(server): State<Arc<Server>>) -> Answer {
    answer(server.last_error.lock().unwrap().clone())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [library, address, url] = arguments.as_slice() else {
        return Err("usage: pools bb8|deadpool|sqlx ADDRESS DATABASE_URL".into());
    };
    let server = Server {
        pool: Pool::open(library, url).await?,
        last_error: Mutex::default(),
    };
    let app = Router::new()
        .route("/work", get(work))
        .route("/health", get(health))
        .with_state(Arc::new(server));
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, app).await?)
}
