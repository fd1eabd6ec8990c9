//! What clients do: workloads, their requests, and the ledgers of what they write.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::default;
use crate::load::{Compare, HttpOk};
use crate::template::Template;
use crate::units::{Period, Rate};

/// Requests at fixed arrivals that never wait for replies.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct HttpWorkload {
    /// Its name, under which assertions find it.
    pub(in crate::scenario) name: String,
    /// `http` (the default) or `job`.
    #[serde(default)]
    #[expect(dead_code, reason = "decided which shape this is")]
    pub(in crate::scenario) kind: WorkloadWord,
    /// The service that it talks to.
    pub(in crate::scenario) service: String,
    /// Arrivals.
    pub(in crate::scenario) rate: Rate,
    /// Deadline of one request.
    #[serde(default = "default::ten_seconds")]
    pub(in crate::scenario) timeout: Period,
    /// The request.
    pub(in crate::scenario) request: Request,
    /// The ledger that learns the fate of each request.
    pub(in crate::scenario) ledger: Option<String>,
    /// What of the answers an `answer` check compares: `body`, or JSON paths.
    pub(in crate::scenario) compare: Option<Compare>,
    /// What counts as ok; any 2xx unless said otherwise.
    #[serde(default)]
    pub(in crate::scenario) ok: HttpOk,
}

/// One long-running job: started once, then polled.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct JobWorkload {
    /// Its name, under which assertions and `job` checks find it.
    pub(in crate::scenario) name: String,
    /// `job`.
    #[expect(dead_code, reason = "decided which shape this is")]
    pub(in crate::scenario) kind: WorkloadWord,
    /// The service that it talks to.
    pub(in crate::scenario) service: String,
    /// The request that starts it; its JSON answer holds the job's id at `$.id`.
    pub(in crate::scenario) start: Request,
    /// The request that asks how it is.
    pub(in crate::scenario) status: Status,
    /// Time between two polls.
    #[serde(default = "default::quarter_second")]
    pub(in crate::scenario) every: Period,
    /// Deadline of one poll.
    #[serde(default = "default::one_second")]
    pub(in crate::scenario) timeout: Period,
    /// What counts as ok of the answer to a poll; any 2xx unless said otherwise.
    #[serde(default)]
    pub(in crate::scenario) ok: HttpOk,
}

/// What a workload does.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(in crate::scenario) enum WorkloadWord {
    /// Requests at fixed arrivals.
    #[default]
    Http,
    /// One long-running job.
    Job,
}

/// An HTTP request. `{{uuid}}` and `{{seq}}` are filled in anew for each.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Request {
    /// The method.
    #[serde(default)]
    pub(in crate::scenario) method: Method,
    /// The path that is asked for, and its query, such as `/items?limit=10`.
    pub(in crate::scenario) path: Template,
    /// Headers besides those that the body needs.
    #[serde(default)]
    pub(in crate::scenario) headers: BTreeMap<String, Template>,
    /// A JSON body; texts in it may hold placeholders.
    pub(in crate::scenario) json: Option<Value>,
}

/// How a job is asked for its state. `{{job.id}}` is filled in.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Status {
    /// The method.
    #[serde(default)]
    pub(in crate::scenario) method: Method,
    /// The path that is asked for, and its query, such as `/items?limit=10`.
    pub(in crate::scenario) path: Template,
    /// Headers.
    #[serde(default)]
    pub(in crate::scenario) headers: BTreeMap<String, Template>,
    /// When the job is done: a JSON path compared with a value (`$.state == 'completed'`).
    pub(in crate::scenario) done: String,
    /// JSON path of the number of items done (`$.files_done`).
    pub(in crate::scenario) progress: Option<String>,
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::scenario) enum Method {
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
pub(in crate::scenario) struct Ledger {
    /// Its name.
    pub(in crate::scenario) name: String,
    /// The field of the request's JSON body that is the key: `id`, or `variables.id` for one in an
    /// object of the body.
    pub(in crate::scenario) key: String,
    /// Outcomes that mean "acknowledged": `2xx`, `201`.
    pub(in crate::scenario) ok: Vec<String>,
    /// Outcomes that mean "surely not applied": `4xx`, `connect_error`.
    pub(in crate::scenario) fail: Vec<String>,
    /// How every row is read back.
    pub(in crate::scenario) readback: Readback,
}

/// How every row is read back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Readback {
    /// The name of the database that holds the rows.
    pub(in crate::scenario) database: String,
    /// SQL that yields the key as text and a count, for all rows.
    pub(in crate::scenario) sql: String,
}
