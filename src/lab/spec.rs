//! What a scenario says about databases and services.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Name;
use crate::template::Template;

/// A PostgreSQL database under the servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSpec {
    /// Its name; of a managed one also the name of the database in its cluster.
    pub name: Name,
    /// Where it comes from.
    pub origin: Origin,
    /// SQL that is run once it is there.
    pub setup: Vec<String>,
}

/// Where a database comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A throwaway cluster that chaosproxy makes and removes.
    Managed,
    /// An existing one, by connection URL. Kept out of journals: it may hold a password.
    #[serde(skip)]
    Url(String),
}

/// A server under test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name.
    pub name: Name,
    /// Its base URL; port 0 is replaced by a free port.
    pub url: Template,
    /// What to start; `None` attaches to a running one. The first word `chaosproxy` means the
    /// running executable.
    pub command: Option<Vec<Template>>,
    /// Environment variables of the command. Kept out of journals: values may be secrets.
    #[serde(skip)]
    pub env: BTreeMap<String, Template>,
    /// Working directory of the command.
    pub working_directory: Option<PathBuf>,
    /// Path that answers 2xx once it is ready; `None` waits for a TCP connect.
    pub ready: Option<String>,
    /// How long it may take to become ready. Default 30 s.
    pub ready_timeout: Duration,
    /// What is to come of its start. Default ready.
    pub expect: Expectation,
    /// Where its log is read.
    pub log: LogSource,
    /// Services, proxies and databases that must be there first.
    pub depends_on: Vec<Name>,
}

/// What is to come of the start of a service.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// It becomes ready; the set-up waits for it.
    #[default]
    Ready,
    /// It ends by itself; the set-up does not wait for anything.
    Exit,
}

/// Where a service's log is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogSource {
    /// Standard output of a started service.
    Stdout,
    /// Standard error of a started service.
    Stderr,
    /// Both.
    Both,
    /// A file that grows, read from its end at the start of the run.
    File(PathBuf),
    /// What a command prints and complains about for as long as it runs: the program and its
    /// arguments. It is started before the service.
    Command(Vec<Template>),
    /// The journal of systemd, from the start of the run on.
    Journald(JournalUnit),
    /// Nowhere.
    None,
}

/// What of the journal of systemd is a service's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalUnit {
    /// The unit, for example `codebase.service`.
    pub unit: String,
    /// The field of an entry that is the line.
    #[serde(default = "message")]
    pub field: String,
}

fn message() -> String {
    "MESSAGE".to_owned()
}
