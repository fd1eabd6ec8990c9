//! Databases: throwaway clusters made with the installed PostgreSQL, and existing ones by URL.
//!
//! A managed cluster listens on loopback only, trusts everybody there, and gives up durability for
//! speed. It must never touch a cluster that is there already.

mod cluster;
mod find;

pub use find::Places;

pub(super) use cluster::{Clusters, Server};

use std::fmt;
use std::net::{IpAddr, SocketAddr};
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
    /// Where its server listens, `host:port`: the upstream of a proxy. A name stays a name, which may
    /// stand for several addresses, and for others later.
    pub address: String,
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
    pub(super) fn at(name: &Name, url: &str) -> Result<Self, LabError> {
        let unusable = |why: String| LabError::DatabaseUrl {
            database: Name::clone(name),
            why,
        };
        let config: tokio_postgres::Config = url
            .parse()
            .map_err(|error: tokio_postgres::Error| unusable(sql::describe(&error)))?;
        let address = address(&config);
        Ok(Self {
            name: Name::clone(name),
            address: address.ok_or_else(|| unusable("it names no TCP host".to_owned()))?,
            url: url.to_owned(),
            config,
        })
    }

    /// Runs statements, each over one and the same direct connection.
    pub(super) async fn set_up(&self, statements: &[String]) -> Result<(), LabError> {
        let connecting = |error: sql::ConnectError| LabError::Connect {
            database: Name::clone(&self.name),
            address: self.address.clone(),
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

    /// Connects as soon as the server accepts, without limit. Cancel safe.
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

/// The first host and port of a connection URL.
fn address(config: &tokio_postgres::Config) -> Option<String> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    match (config.get_hostaddrs().first(), config.get_hosts().first()) {
        (Some(ip), _) => Some(SocketAddr::new(*ip, port).to_string()),
        (None, Some(Host::Tcp(host))) => Some(match host.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, port).to_string(),
            Err(_) => format!("{host}:{port}"),
        }),
        (None, Some(Host::Unix(_)) | None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_database_is_its_host_as_written_and_not_what_it_stands_for_now() {
        let address = |url: &str| Database::at(&"db".into(), url).map(|database| database.address);
        for (url, expected) in [
            ("postgres://u@two.example:5433/d", "two.example:5433"),
            ("postgres://u@[::1]/d", "[::1]:5432"),
            (
                "postgres://u@two.example/d?hostaddr=127.0.0.1",
                "127.0.0.1:5432",
            ),
        ] {
            assert_eq!(address(url).unwrap(), expected);
        }
        assert!(address("postgres:///d?host=/tmp").is_err());
    }
}
