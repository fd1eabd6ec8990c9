//! Observations without a verdict.
//!
//! A probe says what it saw, as samples; what that means is for the checks. It only ever reads.

mod command;
mod http;
pub mod log;
mod prometheus;
pub mod spec;
mod sql;
mod tcp;

pub use command::{Programs, Ran, Running};

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::log::LogProbe;
use self::spec::{ProbeKind, ProbeSpec};
use crate::event::{Fact, Name, Outcome, Recorder, Sample};
use crate::http::{Client, Target, TargetError};
use crate::jsonpath::PathError;
use crate::load::{Grid, OkError, arrivals};
use crate::template::UnknownName;

/// Why a probe cannot start.
#[derive(Debug, thiserror::Error)]
#[error("probe `{probe}` cannot start")]
pub struct ProbeError {
    /// The probe.
    pub probe: Name,
    /// What is wrong with it.
    #[source]
    pub problem: ProbeProblem,
}

/// What is wrong with a probe.
#[derive(Debug, thiserror::Error)]
pub enum ProbeProblem {
    /// Its service's URL.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The URL of its database.
    #[error("this is no URL of a database: {why}")]
    DatabaseUrl {
        /// Why, without the URL: it may hold a password.
        why: String,
    },
    /// A placeholder without a value.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
    /// The time between two rounds.
    #[error("`every` is zero; write the time between two rounds, for example `100ms`")]
    Every,
    /// Its command.
    #[error("the command names no program")]
    NoProgram,
    /// Its path.
    #[error("`{path}` is no path; it starts with `/` and has no blanks")]
    Path {
        /// What was written.
        path: String,
    },
    /// A path into the JSON of an answer.
    #[error(transparent)]
    Json(#[from] PathError),
    /// What counts as ok.
    #[error(transparent)]
    Ok(#[from] OkError),
    /// Its pattern.
    #[error("the pattern is no regular expression: {0}")]
    Pattern(#[from] regex::Error),
}

impl ProbeSpec {
    /// Whether the probe could start, as far as is known without its placeholders.
    pub fn check(&self) -> Result<(), ProbeProblem> {
        if self.every.is_zero() {
            return Err(ProbeProblem::Every);
        }
        match &self.kind {
            ProbeKind::Http { path, ok, .. } => http::Round::new(path, ok).map(drop),
            ProbeKind::Prometheus { path, .. } => http::check_path(path),
            ProbeKind::Log { .. } => LogProbe::new(self).map(drop),
            ProbeKind::Command { run, .. } if run.is_empty() => Err(ProbeProblem::NoProgram),
            ProbeKind::Command {
                exit,
                value,
                bounds,
                json,
                ..
            } => command::Demand::new(*exit, value.as_deref(), *bounds, json).map(drop),
            ProbeKind::Tcp { .. } | ProbeKind::Sql { .. } => Ok(()),
        }
    }
}

/// Starts a probe on the current runtime; `None` for a probe that needs no task of its own
/// ([`LogProbe`]). `lookup` says what `service.NAME.url` and other placeholders stand for;
/// `programs` runs commands; `seed` is that of the run.
///
/// Once `stop` is cancelled no round begins; those under way end or reach their deadline, then
/// the handle ends. Dropping the handle stops nothing.
pub fn start(
    spec: &ProbeSpec,
    lookup: impl Fn(&str) -> Option<String>,
    programs: &Arc<dyn Programs>,
    seed: u64,
    recorder: Recorder,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ProbeError> {
    begin(spec, lookup, programs, seed, recorder, stop).map_err(|problem| ProbeError {
        probe: spec.name.clone(),
        problem,
    })
}

fn begin(
    spec: &ProbeSpec,
    lookup: impl Fn(&str) -> Option<String>,
    programs: &Arc<dyn Programs>,
    seed: u64,
    recorder: Recorder,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ProbeProblem> {
    spec.check()?;
    let clock = recorder.clock();
    let client = |service: &Name| {
        let name = format!("service.{service}.url");
        let url = lookup(&name).ok_or(UnknownName { name })?;
        Ok::<_, ProbeProblem>(Client::new(Target::parse(&url)?, clock))
    };
    let rounds = Rounds {
        name: spec.name.clone(),
        grid: Grid::of(&spec.name, spec.every, seed),
        timeout: spec.timeout,
        recorder,
        stop,
    };
    Ok(Some(match &spec.kind {
        ProbeKind::Log { .. } => return Ok(None),
        ProbeKind::Http { service, path, ok } => rounds.spawn(http::Http {
            client: client(service)?,
            round: http::Round::new(path, ok)?,
        }),
        ProbeKind::Tcp { address, .. } => rounds.spawn(tcp::Tcp {
            address: address.render(&lookup)?,
        }),
        ProbeKind::Sql {
            url, query, equals, ..
        } => {
            let url = url.render(&lookup)?;
            rounds.spawn(sql::Sql::new(&url, query, equals.as_deref())?)
        }
        ProbeKind::Command {
            run,
            exit,
            value,
            bounds,
            json,
        } => {
            let words = run.iter().map(|word| word.render(&lookup));
            let words = words.collect::<Result<_, _>>()?;
            let demand = command::Demand::new(*exit, value.as_deref(), *bounds, json)?;
            let programs = Arc::clone(programs);
            rounds.spawn(command::Command::new(words, demand, programs, clock))
        }
        ProbeKind::Prometheus {
            service,
            path,
            metric,
            labels,
            ok,
        } => rounds.spawn(prometheus::Prometheus {
            client: client(service)?,
            page: prometheus::Page::new(path, metric, labels, *ok)?,
        }),
    }))
}

/// One round of a probe.
trait Look: Send + Sync + 'static {
    /// Looks once, at most until the deadline.
    fn look(&self, deadline: Duration) -> impl Future<Output = Outcome> + Send;
}

/// Rounds at fixed times that never wait for each other.
struct Rounds {
    name: Name,
    grid: Grid,
    timeout: Duration,
    recorder: Recorder,
    stop: CancellationToken,
}

impl Rounds {
    fn spawn(self, look: impl Look) -> JoinHandle<()> {
        let look = Arc::new(look);
        tokio::spawn(async move {
            let Self {
                name,
                grid,
                timeout,
                recorder,
                stop,
            } = self;
            arrivals(&name, grid, &recorder, &stop, |_, intended| {
                let (look, name, recorder) = (Arc::clone(&look), name.clone(), recorder.clone());
                async move {
                    let clock = recorder.clock();
                    let sent = clock.now();
                    let outcome = look.look(timeout).await;
                    let done = clock.now();
                    let sample = Sample {
                        source: name,
                        intended,
                        sent,
                        done,
                        outcome,
                        digest: None,
                    };
                    recorder.record_at(done, Fact::Sample(sample));
                }
            })
            .await;
        })
    }
}
