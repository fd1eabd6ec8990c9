//! Faults on messages, with real clients and servers.

mod http;
mod pgbench;
mod postgres;
mod talk;

use std::net::SocketAddr;
use std::sync::Arc;

use chaosproxy::action::{Protocol, ProxySpec};
use chaosproxy::event::{Fact, Impact};

use crate::demo::cluster::Cluster;
use crate::support::postgres_is_there;
use crate::support::rig::{Rig, spec};

/// A proxy `db` in front of a new database of a real server.
struct Db {
    rig: Rig,
    cluster: Arc<Cluster>,
    database: String,
    proxy: SocketAddr,
}

impl Db {
    /// `None` where there is no PostgreSQL.
    async fn start() -> Option<Self> {
        if !postgres_is_there().await {
            return None;
        }
        let cluster = tokio::task::spawn_blocking(Cluster::shared).await.unwrap();
        let rig = Rig::new();
        let spec = ProxySpec {
            protocol: Protocol::Postgres,
            ..spec("db", format!("127.0.0.1:{}", cluster.port))
        };
        Some(Self {
            database: cluster.database().await,
            proxy: rig.add(spec).await.unwrap(),
            cluster,
            rig,
        })
    }

    /// Where clients go through the proxy.
    fn url(&self) -> String {
        format!(
            "postgres://chaos@{}/{}?sslmode=disable",
            self.proxy, self.database
        )
    }

    /// A connection past the proxy.
    async fn side(&self) -> tokio_postgres::Client {
        self.cluster.client(&self.database).await
    }
}

/// What connections felt so far: the impact of each hit.
fn impacts(rig: &mut Rig) -> Vec<Impact> {
    let facts = rig.facts();
    let impacts = facts.iter().filter_map(|event| match &event.fact {
        Fact::FaultHit { impact, .. } => Some(*impact),
        _ => None,
    });
    impacts.collect()
}

/// How many exchanges a fault touched on a connection that it is done with.
async fn touched(rig: &mut Rig) -> u64 {
    rig.fact(|fact| match fact {
        Fact::FaultTouched { exchanges, .. } => Some(*exchanges),
        _ => None,
    })
    .await
}
