//! Flags that the servers share.

use std::net::SocketAddr;

use super::{Defect, PoolSettings};
use crate::units::Share;

/// Where a server listens.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenArgs {
    /// Address and port to listen on; port 0 takes a free one. Overrides the port variable.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

impl ListenArgs {
    /// What was asked for, or else `port` on the loopback interface.
    pub(super) fn or_port(&self, port: u16) -> SocketAddr {
        self.listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], port)))
    }
}

/// Which database a server uses, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct DatabaseArgs {
    /// Connection URL of the database.
    #[arg(long, env, hide_env_values = true, value_name = "URL")]
    pub database_url: tokio_postgres::Config,
    /// How connections are kept, and what happens when they are lost.
    #[command(flatten)]
    pub pool: PoolSettings,
    /// Start with one mistake that real servers make.
    #[arg(long, value_enum, value_name = "NAME")]
    pub defect: Option<Defect>,
}

impl DatabaseArgs {
    /// The pool's settings, with the mistakes that concern them.
    pub(super) fn pool_settings(&self) -> PoolSettings {
        let mut settings = self.pool.clone();
        settings.defect = self.defect;
        match self.defect {
            Some(Defect::NoDeadline) => settings.drop_deadlines(),
            Some(Defect::RetryStorm) => settings.backoff = super::BackoffPolicy::NONE,
            Some(Defect::FixedInterval) => settings.backoff.factor = 1.0,
            Some(Defect::SynchronisedHerd) => settings.backoff.jitter = Share::NONE,
            _ => {}
        }
        settings
    }
}
