//! Traffic: open-model workloads, jobs, and the ledger of what was written.
//!
//! It records what it sent and what came back, and judges nothing. A request that may have been
//! received is never sent again.

mod arrivals;
mod compare;
mod job;
mod keys;
mod ledger;
mod ok;
mod open;
mod protocol;
mod request;
mod sender;
pub mod spec;
mod wanted;

pub(crate) use arrivals::{Grid, arrivals};
pub use compare::Compare;
pub(crate) use ok::Judge;
pub use ok::{HttpOk, OkError};
pub(crate) use protocol::Asked;
pub use request::{JOB_NAMES, REQUEST_NAMES, RequestError};
pub(crate) use wanted::Wanted;

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::keys::Keys;
use self::request::{Request, Values};
use self::sender::Sender;
use self::spec::{LedgerSpec, WorkloadKind, WorkloadSpec};
use crate::event::{Name, Recorder};
use crate::http::{Answer, TargetError};
use crate::jsonpath::{Condition, Path, PathError};

/// Why a workload cannot start.
#[derive(Debug, thiserror::Error)]
#[error("workload `{workload}` cannot start")]
pub struct LoadError {
    /// The workload.
    pub workload: Name,
    /// What is wrong with it.
    #[source]
    pub problem: LoadProblem,
}

/// What is wrong with a workload.
#[derive(Debug, thiserror::Error)]
pub enum LoadProblem {
    /// Its service's URL.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// One of its requests.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// Its `done` condition or its `progress` path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// What counts as ok.
    #[error(transparent)]
    Ok(#[from] OkError),
    /// The time between two polls.
    #[error("`every` is zero; write the time between two polls, for example `250ms`")]
    Every,
    /// The request does not carry the ledger's key.
    #[error(
        "ledger `{ledger}` finds its keys in the field `{key}`, which the JSON body lacks; add it, for example `{key} = \"{{{{uuid}}}}\"`"
    )]
    Key {
        /// The ledger.
        ledger: Name,
        /// The field.
        key: String,
    },
}

impl WorkloadSpec {
    /// Whether the workload could start with this ledger, the one that it names.
    pub fn check(&self, ledger: Option<&LedgerSpec>) -> Result<(), LoadProblem> {
        self.prepare(ledger).map(drop)
    }

    fn prepare(&self, ledger: Option<&LedgerSpec>) -> Result<Prepared, LoadProblem> {
        Ok(match &self.kind {
            WorkloadKind::Http {
                rate,
                timeout,
                request,
                ledger: _,
                compare,
                ok,
            } => {
                let request = Request::new(request, REQUEST_NAMES)?;
                let sample = request.fill(&Values::new(&Keys::new(0, &self.name), 0, None), 0)?;
                if let Some(ledger) = ledger.filter(|ledger| ledger.key_in(&sample).is_none()) {
                    return Err(LoadProblem::Key {
                        ledger: ledger.name.clone(),
                        key: ledger.key.clone(),
                    });
                }
                let workload = open::Workload {
                    request,
                    timeout: *timeout,
                    ledger: ledger.cloned(),
                    compare: compare.clone(),
                    ok: Judge::new(ok)?,
                };
                Prepared::Http(workload, rate.interval())
            }
            WorkloadKind::Job { every, .. } if every.is_zero() => return Err(LoadProblem::Every),
            WorkloadKind::Job {
                start,
                status,
                done,
                progress,
                every,
                timeout,
                ok,
            } => Prepared::Job(job::Job {
                start: Request::new(start, REQUEST_NAMES)?,
                status: Request::new(status, JOB_NAMES)?,
                done: Condition::parse(done)?,
                progress: progress.as_deref().map(Path::parse).transpose()?,
                every: *every,
                timeout: *timeout,
                ok: Judge::new(ok)?,
            }),
        })
    }
}

/// A workload whose specification has no mistake.
enum Prepared {
    /// With the time between two requests.
    Http(open::Workload, Duration),
    Job(job::Job),
}

/// Starts a workload on the current runtime; `ledger` is the one that its specification names.
///
/// Once `stop` is cancelled nothing new begins; what is under way ends or reaches its deadline,
/// then the handle ends. A job's handle ends by itself when the job is done. Dropping the handle
/// stops nothing.
pub fn start(
    spec: &WorkloadSpec,
    ledger: Option<&LedgerSpec>,
    base_url: &str,
    seed: u64,
    recorder: Recorder,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, LoadError> {
    let prepared = spec.prepare(ledger).and_then(|prepared| {
        let sender = Sender::new(&spec.name, base_url, seed, recorder)?;
        Ok((prepared, sender))
    });
    let (prepared, sender) = prepared.map_err(|problem| LoadError {
        workload: spec.name.clone(),
        problem,
    })?;
    Ok(match prepared {
        Prepared::Http(workload, every) => {
            let grid = Grid::of(&spec.name, every, seed);
            tokio::spawn(workload.run(sender, grid, stop))
        }
        Prepared::Job(job) => tokio::spawn(job.run(sender, stop)),
    })
}

/// Bytes of an answer that are kept, to judge it, to compare it and to say what was wrong with it.
pub(crate) const KEEP: usize = 1 << 20;
/// Why an answer that is longer cannot be judged by its body.
const TOO_LONG: &str = "the answer is longer than 1MiB and was not read to its end";

/// The beginning of a text, on one line, for people.
fn brief(text: &str) -> String {
    const LONGEST: usize = 200;
    let text = text.trim().chars();
    text.map(|c| if c.is_control() { ' ' } else { c })
        .take(LONGEST)
        .collect()
}

/// An answer's status and the beginning of its body, on one line, for people.
fn describe(answer: &Answer) -> String {
    match brief(&String::from_utf8_lossy(&answer.body)) {
        body if body.is_empty() => format!("status {}", answer.status),
        body => format!("status {}: {body}", answer.status),
    }
}
