//! What is observed: a probe, and each of the things that one can look at.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::default;
use crate::load::HttpOk;
use crate::template::Template;
use crate::units::Period;

/// An observation without a verdict. Takes one of `http`, `tcp`, `sql`, `prometheus`, `command` and
/// `log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Probe {
    /// Its name, under which assertions find it.
    pub(in crate::scenario) name: String,
    /// GET of a path of a service.
    pub(in crate::scenario) http: Option<HttpTarget>,
    /// A TCP connection to a service or an address: ok if somebody listens.
    pub(in crate::scenario) tcp: Option<TcpTarget>,
    /// A query, asked over a new connection each time.
    pub(in crate::scenario) sql: Option<SqlTarget>,
    /// A metric of a service's page in the exposition format of Prometheus.
    pub(in crate::scenario) prometheus: Option<MetricTarget>,
    /// A command that is run anew each time, never twice at once.
    pub(in crate::scenario) command: Option<CommandTarget>,
    /// Lines of a service's log.
    pub(in crate::scenario) log: Option<LogTarget>,
    /// Time between two rounds.
    #[serde(default = "default::tenth_second")]
    pub(in crate::scenario) every: Period,
    /// Deadline of one round.
    #[serde(default = "default::one_second")]
    pub(in crate::scenario) timeout: Period,
    /// What counts as ok for `http`; any 2xx unless said otherwise.
    pub(in crate::scenario) ok: Option<HttpOk>,
}

/// A path of a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct HttpTarget {
    /// The name of the service that is asked.
    pub(in crate::scenario) service: String,
    /// The path that is asked for, such as `/health`.
    pub(in crate::scenario) path: String,
}

/// Whoever listens. Takes one of `service` and `address`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct TcpTarget {
    /// The name of the service that is knocked at.
    pub(in crate::scenario) service: Option<String>,
    /// `host:port`.
    pub(in crate::scenario) address: Option<Template>,
}

/// A query. Takes one of `database` and `url`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct SqlTarget {
    /// The database, asked past every proxy.
    pub(in crate::scenario) database: Option<String>,
    /// A connection URL, for example through a proxy. Take passwords from the environment.
    pub(in crate::scenario) url: Option<Template>,
    /// The query, in SQL.
    pub(in crate::scenario) query: String,
    /// The values of its first row; any, unless given.
    pub(in crate::scenario) equals: Option<Vec<Value>>,
}

/// A metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct MetricTarget {
    /// The name of the service that is asked.
    pub(in crate::scenario) service: String,
    /// The path of the page.
    #[serde(default = "default::metrics_path")]
    pub(in crate::scenario) path: String,
    /// The name of the metric.
    pub(in crate::scenario) metric: String,
    /// Labels that a series must have to count; every series of the metric, unless given.
    #[serde(default)]
    pub(in crate::scenario) labels: BTreeMap<String, String>,
    /// The value of each must be below this.
    pub(in crate::scenario) below: Option<f64>,
    /// The value of each must be above this.
    pub(in crate::scenario) above: Option<f64>,
}

/// A command, and what it must come to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct CommandTarget {
    /// The program and its arguments.
    pub(in crate::scenario) run: Vec<Template>,
    /// The exit code.
    #[serde(default)]
    pub(in crate::scenario) exit: i32,
    /// JSON path of a number in what is printed; without it all that is printed is the number, if
    /// there are bounds for one.
    pub(in crate::scenario) value: Option<String>,
    /// The number must be below this.
    pub(in crate::scenario) below: Option<f64>,
    /// The number must be above this.
    pub(in crate::scenario) above: Option<f64>,
    /// Values of the JSON that is printed, by path (`"$.role" = "primary"`).
    #[serde(default)]
    pub(in crate::scenario) json: BTreeMap<String, Value>,
}

/// Lines of a service's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct LogTarget {
    /// The name of the service whose log is read.
    pub(in crate::scenario) service: String,
    /// A regular expression; each line that it matches is a sample.
    pub(in crate::scenario) pattern: String,
}
