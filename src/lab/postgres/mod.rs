//! Databases: throwaway clusters made with the installed PostgreSQL, and existing ones by URL.
//!
//! A managed cluster listens on loopback only, trusts everybody there, and gives up durability for
//! speed. It must never touch a cluster that is there already.

mod cluster;
mod find;

pub use find::Places;

pub(super) use cluster::{Clusters, Server};

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::config::Host;

use super::LabError;
use crate::event::Name;
use crate::sql;

/// Time between two attempts to connect.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// A database that answers, and the direct way to it, past every proxy.
#[derive(Clone)]
pub struct Database {
    /// Its name in the scenario.
    pub name: Name,
    /// Where its server listens: the upstream of a proxy.
    pub address: SocketAddr,
    /// Direct connection URL. It may hold a password.
    pub url: String,
    config: tokio_postgres::Config,
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the URL, for the sake of its password.
        f.debug_struct("Database")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Database {
    /// The database that `url` leads to. Nothing is asked of it yet.
    pub(super) async fn at(name: &Name, url: &str) -> Result<Self, LabError> {
        let unusable = |why: String| LabError::DatabaseUrl {
            database: Name::clone(name),
            why,
        };
        let config: tokio_postgres::Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| unusable(sql::describe(&error)))?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let address = match (config.get_hostaddrs().first(), config.get_hosts().first()) {
            (Some(ip), _) => SocketAddr::new(*ip, port),
            (None, Some(Host::Tcp(host))) => tokio::net::lookup_host((host.as_str(), port))
                .await
                .map_err(|error| unusable(format!("look up `{host}`: {error}")))?
                .next()
                .ok_or_else(|| unusable(format!("`{host}` has no address")))?,
            (None, Some(Host::Unix(_)) | None) => {
                return Err(unusable("it names no TCP host".to_owned()));
            }
        };
        Ok(Self {
            name: Name::clone(name),
            address,
            url: url.to_owned(),
            config,
        })
    }

    /// Runs statements, each over one and the same direct connection.
    pub(super) async fn set_up(&self, statements: &[String]) -> Result<(), LabError> {
        let connecting = |error: sql::ConnectError| LabError::Connect {
            database: Name::clone(&self.name),
            address: self.address,
            why: error.to_string(),
        };
        let client = sql::connect(&self.config).await.map_err(connecting)?;
        for statement in statements {
            let failed = |error| LabError::SetUp {
                database: Name::clone(&self.name),
                why: sql::describe(&error),
                statement: statement.clone(),
            };
            client.batch_execute(statement).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Connects as soon as the server lets us, for as long as that takes. Cancel safe.
    pub(super) async fn accepts(&self) -> Client {
        loop {
            match sql::connect(&self.config).await {
                Ok(client) => return client,
                Err(_) => tokio::time::sleep(TRY_EVERY).await,
            }
        }
    }

    /// The rows that one statement yields, asked over a fresh direct connection.
    ///
    /// Booleans, numbers and JSON become what they are in JSON, everything else its text. After
    /// 10 s without an answer it is an error.
    pub async fn query(&self, statement: &str) -> Result<Vec<Vec<serde_json::Value>>, String> {
        sql::query(&self.config, statement).await
    }
}
