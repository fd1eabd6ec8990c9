//! What a scenario stands on: databases, proxies, services.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::default;
use crate::action::Protocol;
use crate::lab::spec::{Expectation, LogSource};
use crate::template::Template;
use crate::units::Period;

/// A PostgreSQL database under the servers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Database {
    /// Its name; of a managed one also the name of the database in its cluster.
    pub(in crate::scenario) name: String,
    /// `true`: a throwaway cluster that chaosproxy starts from the installed PostgreSQL.
    #[serde(default)]
    pub(in crate::scenario) managed: bool,
    /// An existing database, as a connection URL. Take passwords from the environment.
    pub(in crate::scenario) url: Option<String>,
    /// SQL statements that are run once it is there.
    #[serde(default)]
    pub(in crate::scenario) setup: Vec<String>,
}

/// A point of interception.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Proxy {
    /// Its name.
    pub(in crate::scenario) name: String,
    /// What is spoken through it.
    #[serde(default)]
    pub(in crate::scenario) protocol: Protocol,
    /// Where it listens, as `ip:port`; port 0 takes any free port.
    #[serde(default = "default::any_loopback_port")]
    pub(in crate::scenario) listen: String,
    /// Where it connects to, as `host:port`.
    pub(in crate::scenario) upstream: Template,
    /// How long connecting to the upstream may take.
    #[serde(default = "default::five_seconds")]
    pub(in crate::scenario) dial_timeout: Period,
    /// Whether silent clients and servers are asked for a sign of life (TCP keepalive); never,
    /// unless given.
    pub(in crate::scenario) keepalive: Option<Keepalive>,
    /// Connections that it serves at once; more are closed at once.
    #[serde(default = "default::many_connections")]
    pub(in crate::scenario) max_connections: u32,
}

/// When a silent peer is asked for a sign of life, in whole seconds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Keepalive {
    /// Silence before the first question; at most `32767s`.
    pub(in crate::scenario) idle: Period,
    /// From one question to the next; at most `32767s`.
    #[serde(default = "default::ten_seconds")]
    pub(in crate::scenario) interval: Period,
    /// Questions without an answer before the connection is reset, from 1 to 127.
    #[serde(default = "default::five")]
    pub(in crate::scenario) retries: u32,
}

/// A server under test.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Service {
    /// Its name.
    pub(in crate::scenario) name: String,
    /// Its base URL; port 0 is replaced by a free port, which its own command and environment can
    /// name. `http://{{proxy.NAME.address}}` for a server that is reached through a proxy.
    pub(in crate::scenario) url: Template,
    /// The program to start and its arguments; without it, a running server is taken as it is. The
    /// first word `chaosproxy` means the running executable.
    pub(in crate::scenario) command: Option<Vec<Template>>,
    /// Environment variables of the command.
    #[serde(default)]
    pub(in crate::scenario) env: BTreeMap<String, Template>,
    /// Working directory of the command.
    pub(in crate::scenario) working_directory: Option<PathBuf>,
    /// Path that answers 2xx once the server is ready; without it, a TCP connection suffices.
    pub(in crate::scenario) ready: Option<String>,
    /// How long it may take to become ready.
    #[serde(default = "default::thirty_seconds")]
    pub(in crate::scenario) ready_timeout: Period,
    /// What is to come of its start: `ready`, or `exit` for a server that is to meet an obstacle;
    /// the set-up then does not wait for it.
    #[serde(default)]
    pub(in crate::scenario) expect: Expectation,
    /// Where its log is read. A started server's standard error, unless said otherwise.
    pub(in crate::scenario) log: Option<LogSource>,
    /// Services, proxies and databases that must be there first.
    #[serde(default)]
    pub(in crate::scenario) depends_on: Vec<String>,
}
