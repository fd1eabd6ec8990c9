//! The blocks as they are written: plain types whose doc comments become the JSON Schema.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::written::{At, Between, Names};
use crate::action::Protocol;
use crate::check::Assertion;
use crate::fault::{Affect, Selection, Ways};
use crate::lab::spec::{Expectation, LogSource};
use crate::load::Compare;
use crate::template::Template;
use crate::units::{Period, Rate, Share};

/// The experiment as a whole.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    /// What the experiment is about, in one sentence.
    pub(super) title: String,
    /// What is expected to hold, as a person would say it.
    #[serde(default)]
    pub(super) hypothesis: String,
    /// Words to find the scenario by.
    #[serde(default)]
    #[expect(dead_code, reason = "for people and editors; nothing acts on it")]
    pub(super) tags: Vec<String>,
    /// Seeds every die; the same seed gives the same run.
    #[serde(default)]
    pub(super) seed: u64,
    /// From time zero (the confirmed steady state) to the end of the schedule.
    pub(super) duration: Period,
    /// How long jobs and ledgers may go on after the schedule.
    #[serde(default = "thirty_seconds")]
    pub(super) settle: Period,
}

/// A PostgreSQL database under the servers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Database {
    /// Its name; of a managed one also the name of the database in its cluster.
    pub(super) name: String,
    /// `true`: a throwaway cluster that chaosproxy starts from the installed PostgreSQL.
    #[serde(default)]
    pub(super) managed: bool,
    /// An existing database, as a connection URL. Take passwords from the environment.
    pub(super) url: Option<String>,
    /// SQL statements that are run once it is there.
    #[serde(default)]
    pub(super) setup: Vec<String>,
}

/// A point of interception.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Proxy {
    /// Its name.
    pub(super) name: String,
    /// What is spoken through it.
    #[serde(default)]
    pub(super) protocol: Protocol,
    /// Where it listens, as `ip:port`; port 0 takes any free port.
    #[serde(default = "any_loopback_port")]
    pub(super) listen: String,
    /// Where it connects to, as `host:port`.
    pub(super) upstream: Template,
    /// How long connecting to the upstream may take.
    #[serde(default = "five_seconds")]
    pub(super) dial_timeout: Period,
    /// Whether silent clients and servers are asked for a sign of life (TCP keepalive); never,
    /// unless given.
    pub(super) keepalive: Option<Keepalive>,
    /// Connections that it serves at once; more are closed at once.
    #[serde(default = "many_connections")]
    pub(super) max_connections: u32,
}

/// When a silent peer is asked for a sign of life, in whole seconds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Keepalive {
    /// Silence before the first question; at most `32767s`.
    pub(super) idle: Period,
    /// From one question to the next; at most `32767s`.
    #[serde(default = "ten_seconds")]
    pub(super) interval: Period,
    /// Questions without an answer before the connection is reset, from 1 to 127.
    #[serde(default = "five")]
    pub(super) retries: u32,
}

/// A server under test.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Service {
    /// Its name.
    pub(super) name: String,
    /// Its base URL; port 0 is replaced by a free port, which its own command and environment can
    /// name.
    pub(super) url: String,
    /// The program to start and its arguments; without it, a running server is taken as it is. The
    /// first word `chaosproxy` means the running executable.
    pub(super) command: Option<Vec<Template>>,
    /// Environment variables of the command.
    #[serde(default)]
    pub(super) env: BTreeMap<String, Template>,
    /// Working directory of the command.
    pub(super) working_directory: Option<PathBuf>,
    /// Path that answers 2xx once the server is ready; without it, a TCP connection suffices.
    pub(super) ready: Option<String>,
    /// How long it may take to become ready.
    #[serde(default = "thirty_seconds")]
    pub(super) ready_timeout: Period,
    /// What is to come of its start: `ready`, or `exit` for a server that is to meet an obstacle;
    /// the set-up then does not wait for it.
    #[serde(default)]
    pub(super) expect: Expectation,
    /// Where its log is read. A started server's standard error, unless said otherwise.
    pub(super) log: Option<LogSource>,
    /// Services, proxies and databases that must be there first.
    #[serde(default)]
    pub(super) depends_on: Vec<String>,
}

/// Requests at fixed arrivals that never wait for replies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpWorkload {
    /// Its name, under which assertions find it.
    pub(super) name: String,
    /// `http` (the default) or `job`.
    #[serde(default)]
    #[expect(dead_code, reason = "decided which shape this is")]
    pub(super) kind: WorkloadWord,
    /// The service that it talks to.
    pub(super) service: String,
    /// Arrivals.
    pub(super) rate: Rate,
    /// Deadline of one request.
    #[serde(default = "ten_seconds")]
    pub(super) timeout: Period,
    /// The request.
    pub(super) request: Request,
    /// The ledger that learns the fate of each request.
    pub(super) ledger: Option<String>,
    /// What of the answers an `answer` check compares: `body`, or JSON paths.
    pub(super) compare: Option<Compare>,
}

/// One long-running job: started once, then polled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct JobWorkload {
    /// Its name, under which assertions and `job` checks find it.
    pub(super) name: String,
    /// `job`.
    #[expect(dead_code, reason = "decided which shape this is")]
    pub(super) kind: WorkloadWord,
    /// The service that it talks to.
    pub(super) service: String,
    /// The request that starts it; its JSON answer holds the job's id at `$.id`.
    pub(super) start: Request,
    /// The request that asks how it is.
    pub(super) status: Status,
    /// Time between two polls.
    #[serde(default = "quarter_second")]
    pub(super) every: Period,
    /// Deadline of one poll.
    #[serde(default = "one_second")]
    pub(super) timeout: Period,
}

/// What a workload does.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum WorkloadWord {
    /// Requests at fixed arrivals.
    #[default]
    Http,
    /// One long-running job.
    Job,
}

/// An HTTP request. `{{uuid}}` and `{{seq}}` are filled in anew for each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Request {
    /// The method.
    #[serde(default)]
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: Template,
    /// Headers besides those that the body needs.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    /// A JSON body; texts in it may hold placeholders.
    pub(super) json: Option<Value>,
}

/// How a job is asked for its state. `{{job.id}}` is filled in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Status {
    /// The method.
    #[serde(default)]
    pub(super) method: Method,
    /// Path and query.
    pub(super) path: Template,
    /// Headers.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, Template>,
    /// When the job is done: a JSON path compared with a value (`$.state == 'completed'`).
    pub(super) done: String,
    /// JSON path of the number of items done (`$.files_done`).
    pub(super) progress: Option<String>,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Method {
    /// Reads.
    #[default]
    Get,
    /// Creates.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
    /// Reads the head only.
    Head,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Head => "HEAD",
        })
    }
}

/// The fate of each write, and how it is read back past the proxy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ledger {
    /// Its name.
    pub(super) name: String,
    /// The field of the request's JSON body that is the key.
    pub(super) key: String,
    /// Outcomes that mean "acknowledged": `2xx`, `201`.
    pub(super) ok: Vec<String>,
    /// Outcomes that mean "surely not applied": `4xx`, `connect_error`.
    pub(super) fail: Vec<String>,
    /// How every row is read back.
    pub(super) readback: Readback,
}

/// How every row is read back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Readback {
    /// The database.
    pub(super) database: String,
    /// SQL that yields the key as text and a count, for all rows.
    pub(super) sql: String,
}

/// An observation without a verdict. Takes one of `http`, `tcp`, `sql`, `prometheus`, `command` and
/// `log`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Probe {
    /// Its name, under which assertions find it.
    pub(super) name: String,
    /// GET of a path of a service.
    pub(super) http: Option<HttpTarget>,
    /// A TCP connection to a service or an address: ok if somebody listens.
    pub(super) tcp: Option<TcpTarget>,
    /// A query, asked over a new connection each time.
    pub(super) sql: Option<SqlTarget>,
    /// A metric of a service's page in the exposition format of Prometheus.
    pub(super) prometheus: Option<MetricTarget>,
    /// A command that is run anew each time, never twice at once.
    pub(super) command: Option<CommandTarget>,
    /// Lines of a service's log.
    pub(super) log: Option<LogTarget>,
    /// Time between two rounds.
    #[serde(default = "tenth_second")]
    pub(super) every: Period,
    /// Deadline of one round.
    #[serde(default = "one_second")]
    pub(super) timeout: Period,
    /// What counts as ok for `http`; any 2xx unless said otherwise.
    pub(super) ok: Option<HttpOk>,
}

/// A path of a service.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpTarget {
    /// The service.
    pub(super) service: String,
    /// The path.
    pub(super) path: String,
}

/// Whoever listens. Takes one of `service` and `address`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TcpTarget {
    /// The service.
    pub(super) service: Option<String>,
    /// `host:port`.
    pub(super) address: Option<Template>,
}

/// A query. Takes one of `database` and `url`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SqlTarget {
    /// The database, asked past every proxy.
    pub(super) database: Option<String>,
    /// A connection URL, for example through a proxy. Take passwords from the environment.
    pub(super) url: Option<Template>,
    /// The query.
    pub(super) query: String,
    /// The values of its first row; any, unless given.
    pub(super) equals: Option<Vec<Value>>,
}

/// A metric.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MetricTarget {
    /// The service.
    pub(super) service: String,
    /// The path of the page.
    #[serde(default = "metrics_path")]
    pub(super) path: String,
    /// The name of the metric.
    pub(super) metric: String,
    /// Labels that a series must have to count; every series of the metric, unless given.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// The value of each must be below this.
    pub(super) below: Option<f64>,
    /// The value of each must be above this.
    pub(super) above: Option<f64>,
}

/// A command, and what it must come to.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandTarget {
    /// The program and its arguments.
    pub(super) run: Vec<Template>,
    /// The exit code.
    #[serde(default)]
    pub(super) exit: i32,
    /// JSON path of a number in what is printed; without it all that is printed is the number, if
    /// there are bounds for one.
    pub(super) value: Option<String>,
    /// The number must be below this.
    pub(super) below: Option<f64>,
    /// The number must be above this.
    pub(super) above: Option<f64>,
    /// Values of the JSON that is printed, by path (`"$.role" = "primary"`).
    #[serde(default)]
    pub(super) json: BTreeMap<String, Value>,
}

/// Lines of a service's log.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LogTarget {
    /// The service.
    pub(super) service: String,
    /// A regular expression; each line that it matches is a sample.
    pub(super) pattern: String,
}

/// What counts as ok. Everything named must hold.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HttpOk {
    /// The HTTP status.
    pub(super) status: Option<u16>,
    /// Values by JSON path (`"$.status" = "healthy"`).
    #[serde(default)]
    pub(super) json: BTreeMap<String, Value>,
}

/// The gate: what must hold before anything is injected, and again at the end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SteadyState {
    /// How long it must hold.
    #[serde(default = "five_seconds")]
    pub(super) window: Period,
    /// Assertions, for example `web.error_rate == 0%`.
    #[serde(default)]
    pub(super) require: Vec<Assertion>,
}

impl Default for SteadyState {
    fn default() -> Self {
        Self {
            window: five_seconds(),
            require: Vec::new(),
        }
    }
}

/// The keys that every fault has, whatever its kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Its name.
    pub(super) name: String,
    /// The kind of fault.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(super) kind: Option<String>,
    /// A fault of the catalogue, instead of `type`; its parameters can be overridden here.
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(super) entry: Option<String>,
    /// What it acts on: the name of a proxy, a service or a database, as its kind wants it, or a
    /// list of such names.
    #[serde(default)]
    pub(super) target: Names,
    /// When it begins: after time zero, or after the end (`after`) or beginning (`with`) of another
    /// fault. `before-start`: before any service is started.
    pub(super) at: Option<At>,
    /// How long it lasts; one that began before the start, from time zero. Faults that act once
    /// need none.
    #[serde(rename = "for")]
    pub(super) length: Option<Period>,
    /// The fault after whose last end it begins.
    pub(super) after: Option<String>,
    /// The fault with whose first beginning it begins.
    pub(super) with: Option<String>,
    /// Time from one beginning to the next, if it repeats; needs `count`.
    pub(super) every: Option<Period>,
    /// How often it happens; needs `every`.
    pub(super) count: Option<u32>,
    /// Lengths, instead of `for`: it is in force for each of them, one after the other, and checks
    /// that name it give a verdict for each. Needs `gap`.
    #[serde(default)]
    pub(super) sweep: Vec<Period>,
    /// Time from the end of one length of a sweep to the beginning of the next: long enough for
    /// everything to settle.
    pub(super) gap: Option<Period>,
    /// Parameters that move in a straight line while it is in force, from the values that they have
    /// in this block to these: `{ latency = "500ms" }`. Needs `for` or `sweep`.
    #[serde(default)]
    pub(super) ramp: BTreeMap<String, Value>,
    /// The share of connections that it touches, drawn once per connection.
    pub(super) percent: Option<Share>,
    /// Which connections it touches. `all`, or `existing` for faults that act once.
    pub(super) affect: Option<Affect>,
    /// The way of bytes that it acts on.
    #[serde(default)]
    pub(super) direction: Ways,
    /// What else must be true of a connection when the fault is injected: its age, its idle time,
    /// its number, its client. All, unless given.
    #[serde(default, rename = "match")]
    pub(super) selection: Selection,
    /// How many connections, clients, processes or servers it must touch to count as exercised.
    #[serde(default = "once")]
    pub(super) min_hits: u64,
}

/// Faults drawn at random from a list; the seed decides which, when and for how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Chaos {
    /// From when to when drawn faults may be in force, after time zero.
    pub(super) between: Between,
    /// Time from the end of a drawn fault to the beginning of the next.
    pub(super) gap: Between,
    /// How long a drawn fault is in force that has no `for` of its own.
    pub(super) length: Option<Between>,
    /// How many drawn faults may be in force at once.
    #[serde(default = "one")]
    pub(super) at_once: u32,
    /// The faults that are drawn, each with its weight: one of weight 2 comes twice as often as one
    /// of weight 1.
    pub(super) faults: BTreeMap<String, f64>,
}

/// What faults may touch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BlastRadius {
    /// Proxies, services and databases that faults may act on; all, unless given.
    #[serde(default)]
    pub(super) allow: Vec<String>,
    /// Proxies, services and databases that no fault may act on.
    #[serde(default)]
    pub(super) protect: Vec<String>,
    /// Faults that may be in force at once.
    pub(super) max_active_faults: Option<u32>,
    /// The longest time that one fault may be in force.
    pub(super) max_fault_time: Option<Period>,
    /// Whether every address must be a loopback address. `true` unless given.
    pub(super) loopback_only: Option<bool>,
}

/// A condition that ends the run early; everything heals.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AbortCondition {
    /// An assertion, for example `web.error_rate > 50% for 5s`.
    pub(super) when: Assertion,
}

/// The keys that every check has, whatever its type.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// Its name.
    pub(super) name: String,
    /// What it proves.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(super) kind: String,
    /// Whether a failure fails the run.
    #[serde(default)]
    pub(super) severity: crate::check::Severity,
}

/// Outputs.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Report {
    /// The folder for the report; below `chaosproxy-runs`, unless given.
    pub(super) dir: Option<PathBuf>,
}

fn metrics_path() -> String {
    "/metrics".to_owned()
}

fn any_loopback_port() -> String {
    "127.0.0.1:0".to_owned()
}

const fn many_connections() -> u32 {
    10_000
}

const fn one() -> u32 {
    1
}

const fn once() -> u64 {
    1
}

const fn five() -> u32 {
    5
}

const fn tenth_second() -> Period {
    Period::from_millis(100)
}

const fn quarter_second() -> Period {
    Period::from_millis(250)
}

const fn one_second() -> Period {
    Period::from_secs(1)
}

const fn five_seconds() -> Period {
    Period::from_secs(5)
}

const fn ten_seconds() -> Period {
    Period::from_secs(10)
}

const fn thirty_seconds() -> Period {
    Period::from_secs(30)
}
