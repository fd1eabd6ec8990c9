//! What a scenario says about workloads and ledgers.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Compare, HttpOk};
use crate::event::Name;
use crate::template::Template;
use crate::units::Rate;

/// Traffic toward one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WorkloadSpec {
    /// Its name, under which assertions find it.
    pub name: Name,
    /// The service that it talks to.
    pub service: Name,
    /// What it does.
    pub kind: WorkloadKind,
}

/// What a workload does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    /// Requests at fixed arrivals that never wait for replies.
    Http {
        /// Arrivals.
        rate: Rate,
        /// Deadline of one request, counted from its send. Default 10 s.
        timeout: Duration,
        /// The request.
        request: RequestSpec,
        /// The ledger that learns the fate of each request.
        ledger: Option<Name>,
        /// What of the answers is compared with other answers.
        compare: Option<Compare>,
        /// What counts as ok.
        ok: HttpOk,
    },
    /// One long-running job: started once, then polled.
    Job {
        /// The request that starts it; its JSON answer holds the id at `$.id`.
        start: RequestSpec,
        /// The request that asks how it is; `{{job.id}}` is filled in.
        status: RequestSpec,
        /// Condition on the status answer (`$.state == 'completed'`).
        done: String,
        /// JSON path of the number of items done (`$.files_done`).
        progress: Option<String>,
        /// Time between two polls. Default 250 ms.
        every: Duration,
        /// Deadline of one poll. Default 1 s.
        timeout: Duration,
        /// What counts as ok of a poll.
        ok: HttpOk,
    },
}

/// An HTTP request. `{{uuid}}` and `{{seq}}` are filled in anew for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestSpec {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: Template,
    /// Headers besides those that the body needs.
    pub headers: Vec<(String, Template)>,
    /// A JSON body; strings in it are templates. A string that is one placeholder stays a string.
    pub json: Option<serde_json::Value>,
}

/// The fate of each write, and how it is read back past the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LedgerSpec {
    /// Its name.
    pub name: Name,
    /// The field of the request's JSON body that is the key.
    pub key: String,
    /// Outcomes that mean "acknowledged": `2xx`, `201`.
    pub ok: Vec<FateRule>,
    /// Outcomes that mean "surely not applied": `4xx`, `connect_error`.
    pub fail: Vec<FateRule>,
    /// The database that is read back.
    pub database: Name,
    /// SQL that yields `(key text, count bigint)` for **all** rows.
    pub sql: String,
}

/// A class of outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FateRule {
    /// A status class: 2 for `2xx`.
    Class(u16),
    /// One status.
    Status(u16),
    /// No connection was made.
    ConnectError,
    /// No answer in time.
    Timeout,
    /// The connection broke.
    Broken,
}

impl WorkloadKind {
    /// Whether it is one long-running job.
    pub const fn is_job(&self) -> bool {
        matches!(self, Self::Job { .. })
    }

    /// The ledger that learns the fate of its requests.
    pub const fn ledger(&self) -> Option<&Name> {
        match self {
            Self::Http { ledger, .. } => ledger.as_ref(),
            Self::Job { .. } => None,
        }
    }
}
