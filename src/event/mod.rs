//! The one stream of facts.
//!
//! Whatever happens in a run is an [`Event`]: the journal, the live display, the checks and the
//! reports only read them. A [`Recorder`] stamps facts and hands them to the run without ever
//! making the recording thread wait.

mod bus;
mod connection;
mod journal;
mod log;
mod reason;
mod sample;
mod secrets;
mod shortfall;
mod traffic;

pub use bus::{Recorder, Stream, bus};
pub use connection::{ClosedBy, Startup};
pub use journal::{Header, JOURNAL_FORMAT, Journal, JournalError, JournalWriter};
pub use log::LogGap;
pub use reason::{Reason, reasons};
pub use sample::{Answers, Fate, Outcome, Sample};
pub use secrets::Secrets;
pub use shortfall::Shortfall;
pub use traffic::{Awaited, Carried, OpenConnection, Spread, Totals, Volume, Wait};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::units::Moment;

/// The name of a proxy, fault, service, probe and so on, as the scenario gives it.
pub type Name = Arc<str>;

/// A fact and the moment at which it was recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// What.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What happened. New variants may be added; a variant's fields keep their meaning. What is large
/// is boxed: a run keeps its facts, and every one takes the room of the largest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The run entered a phase.
    Phase {
        /// Which.
        phase: Phase,
    },
    /// The steady state was judged: at the gate before the first fault, or at the recheck.
    SteadyState {
        /// Gate or recheck.
        gate: Gate,
        /// Since when observations counted.
        #[serde(default)]
        from: Moment,
        /// Whether every condition held.
        met: bool,
        /// Each condition with what was measured.
        conditions: Vec<Condition>,
    },
    /// A fault was put in force or lifted.
    FaultEdge {
        /// The fault's name.
        fault: Name,
        /// Which edge.
        edge: Edge,
        /// Counts repetitions of the same fault from 0.
        occurrence: u32,
        /// When a schedule wanted it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planned: Option<Moment>,
        /// When the engine took it up. For an injection this is the event's own moment too, so that
        /// no hit precedes its fault; the moment of a lift is when nothing followed the fault any
        /// more.
        decided: Moment,
        /// Who asked for it.
        #[serde(default)]
        by: AskedBy,
    },
    /// Since the event's own moment a fault that was injected has been in force everywhere.
    FaultInForce {
        /// The fault's name.
        fault: Name,
        /// Counts repetitions of the same fault from 0.
        occurrence: u32,
    },
    /// The parameters of a fault in force have changed. Of the many small steps of a ramp about each
    /// tenth of the way is recorded.
    FaultMoved {
        /// The fault's name.
        fault: Name,
        /// Counts repetitions of the same fault from 0.
        occurrence: u32,
        /// The parameters that moved, with their values now.
        values: BTreeMap<String, serde_json::Value>,
        /// When a schedule wanted it, if one did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        planned: Option<Moment>,
        /// Who asked for it.
        #[serde(default)]
        by: AskedBy,
    },
    /// A fault touched a connection for the first time in this occurrence, or a client, a process
    /// or a server outside every proxy.
    FaultHit {
        /// The fault's name.
        fault: Name,
        /// Where: the proxy, or the target of the fault.
        proxy: Name,
        /// The victim; `None` when it never became a connection (a refused one).
        conn: Option<u64>,
        /// What the victim felt.
        impact: Impact,
    },
    /// A fault on messages can see none on this connection, so that it cannot touch it.
    FaultUnable {
        /// The fault's name.
        fault: Name,
        /// The proxy.
        proxy: Name,
        /// The connection.
        conn: u64,
        /// Why (`the messages are encrypted with TLS`).
        why: String,
    },
    /// A fault on messages is done with a connection that it hit.
    FaultTouched {
        /// The fault's name.
        fault: Name,
        /// Counts repetitions of the same fault from 0.
        occurrence: u32,
        /// The proxy.
        proxy: Name,
        /// The connection.
        conn: u64,
        /// How many requests it touched there.
        exchanges: u64,
        /// When it touched the last of them, which may be after the fault was lifted.
        last: Moment,
    },
    /// A fault shuts a port, and it is not permitted to count whom it turns away.
    RefusalsUncounted {
        /// The fault.
        fault: Name,
        /// The proxy.
        proxy: Name,
    },
    /// A fault removed and a side probe straight through the path succeeded.
    PathOpen {
        /// The proxy whose path carries traffic again, or the service or database that answers.
        proxy: Name,
        /// The fault that was lifted.
        fault: Name,
    },
    /// No longer recorded: in journals of version 0.1, a connection of chaosproxy's own.
    SideProbe {},
    /// A client's connection was accepted. What chaosproxy itself opens leaves no fact at a proxy.
    ConnectionOpened {
        /// The proxy.
        proxy: Name,
        /// Ordinal of the connection at this proxy, from 0.
        conn: u64,
        /// The client.
        peer: SocketAddr,
    },
    /// The first packets of a PostgreSQL connection: what the client asked for.
    StartupPacket {
        /// The proxy.
        proxy: Name,
        /// The connection.
        conn: u64,
        /// The request.
        packet: Startup,
    },
    /// The server's first `ReadyForQuery`: a session exists.
    SessionReady {
        /// The proxy.
        proxy: Name,
        /// The connection.
        conn: u64,
    },
    /// A connection ended.
    ConnectionClosed {
        /// The proxy.
        proxy: Name,
        /// The connection.
        conn: u64,
        /// Who ended it.
        cause: ClosedBy,
        /// What it had carried.
        #[serde(flatten)]
        carried: Box<Carried>,
    },
    /// One observation of a workload or probe.
    Sample(Sample),
    /// The fate of one write, as the client saw it.
    LedgerWrite {
        /// The ledger.
        ledger: Name,
        /// The key that was written.
        key: String,
        /// When the request was sent.
        sent: Moment,
        /// What is known of it.
        fate: Fate,
    },
    /// What a ledger's read-back found past the proxy, or why it failed.
    LedgerRead {
        /// The ledger.
        ledger: Name,
        /// How often each key was found; an error text if it could not be read.
        rows: Result<BTreeMap<String, u64>, String>,
    },
    /// A job's status, as polled.
    JobStatus {
        /// The workload.
        workload: Name,
        /// The job's id, as the service named it.
        job: String,
        /// Items done, if the service said.
        progress: Option<u64>,
        /// Whether the `done` condition held.
        done: bool,
        /// The service's state text, for people (for example `paused`).
        state: Option<String>,
    },
    /// The answer to a verification query of a check, or why there was none.
    Query {
        /// The check that asked.
        check: Name,
        /// Rows of values.
        rows: Result<Vec<Vec<serde_json::Value>>, String>,
    },
    /// The stored baseline that a check compares with, as the run found it when it began.
    StoredBaseline {
        /// The check.
        check: Name,
        /// The file's text, or why it could not be read.
        text: Result<String, String>,
        /// The machine of this run, by the same names as in the journal's header.
        machine: BTreeMap<String, String>,
    },
    /// A line that a service logged.
    Log {
        /// The service.
        service: Name,
        /// Where it was read.
        stream: LogStream,
        /// The line, cut at 4,096 bytes.
        line: String,
        /// Whether it was longer.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cut: bool,
    },
    /// Lines that a service may have logged were not seen.
    LogGap(LogGap),
    /// A service's life.
    Service {
        /// The service.
        service: Name,
        /// What happened.
        change: ServiceChange,
    },
    /// A database's life.
    Database {
        /// The database.
        database: Name,
        /// What happened, in words (`ready after 812 ms`).
        change: String,
    },
    /// How busy the machine was during the last second.
    Machine {
        /// Share of all cores' time that was not idle, from 0 to 1.
        busy: f64,
    },
    /// An abort condition held.
    Abort {
        /// The condition as written.
        when: String,
        /// What was measured.
        measured: String,
    },
    /// A signal asked the run to end.
    Interrupted {
        /// `SIGINT`, `SIGTERM` or `SIGHUP`.
        signal: String,
    },
    /// Every fault was lifted.
    HealedAll,
    /// What a proxy has carried so far: told about once a second while it changes, and for the last
    /// time when the proxy is taken down.
    ProxyTotals(Box<Totals>),
    /// Until the event's own moment chaosproxy itself fell short.
    Shortfall {
        /// Since when.
        since: Moment,
        /// Of what.
        #[serde(flatten)]
        what: Shortfall,
    },
    /// What a fault does outside every proxy could not be done as asked; the run goes on.
    FaultFailed {
        /// The fault's name.
        fault: Name,
        /// What and why (``run `sh -c exit 7`: it ended with exit code 7``).
        why: String,
    },
    /// Something that chaosproxy itself could not do; the run goes on without it.
    Trouble {
        /// What and why.
        message: String,
    },
    /// The run could not go on because of chaosproxy itself; everything was healed.
    Failed {
        /// What and why.
        message: String,
    },
    /// Facts that could not be recorded because the queue was full. Evidence is incomplete.
    Lost {
        /// How many so far.
        count: u64,
    },
}

/// The phases of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Databases, proxies and services are being started.
    SetUp,
    /// Workloads and probes run; the steady state is being confirmed.
    SteadyState,
    /// Time zero has passed; the schedule runs.
    Experiment,
    /// The schedule is done, but its last fault is not over for long enough to look at the steady
    /// state again.
    Recheck,
    /// The schedule is done and everything is healed; jobs finish, ledgers are read.
    Settle,
    /// Everything is being stopped.
    TearDown,
}

/// Which of the two judgements of the steady state.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// Before the first fault.
    Before,
    /// After the last.
    After,
}

/// One condition of the steady state, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// As written.
    pub condition: String,
    /// Whether it held.
    pub met: bool,
    /// What was measured.
    pub measured: String,
    /// Why observations were not ok.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// One of the two edges of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// The fault ends.
    Lift,
    /// The fault begins.
    Inject,
}

/// Who asked for a change of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// The schedule of the scenario. Journals that do not say were written for schedules only.
    #[default]
    Schedule,
    /// The run, because a signal interrupted it.
    Interrupt,
    /// The run, because it could not or should not go on.
    Abort,
    /// A caller of the API.
    Api,
    /// A lease that was not renewed.
    Lease,
}

impl AskedBy {
    /// The reason for a change that no schedule planned, for people; empty for the schedule.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Schedule => "",
            Self::Interrupt => "on the interrupt",
            Self::Abort => "on the abort",
            Self::Api => "by the API",
            Self::Lease => "by its lease",
        }
    }
}

/// What a victim felt of a fault.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// Its bytes were held back or swallowed.
    Withheld,
    /// Its bytes were delayed.
    Delayed,
    /// It, or its bytes, were changed.
    Altered,
    /// It got an answer that the fault made up.
    Answered,
    /// It was ended.
    Closed,
    /// It was turned away before it existed.
    Refused,
}

/// Where a log line was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file.
    File,
    /// A command that follows the log.
    Command,
    /// The journal of systemd.
    Journal,
}

/// What happened to a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceChange {
    /// It was started under this process id.
    Started(u32),
    /// From now on it is asked whether it is ready, at a path of its own.
    Watched,
    /// It answered its readiness probe.
    Ready,
    /// It ended by itself or was stopped; the text says how (`exit code 1`, `signal SIGKILL`).
    Exited(String),
}
