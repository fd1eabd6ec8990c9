//! Observations without a verdict.
//!
//! A probe says what it saw, as samples; what that means is for the checks. It only ever reads.

mod http;
pub mod log;
pub mod spec;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::log::LogProbe;
use self::spec::{ProbeKind, ProbeSpec};
use crate::event::{Name, Recorder};
use crate::jsonpath::PathError;
use crate::load::http::{Client, Target, TargetError};

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
    /// The time between two rounds.
    #[error("`every` is zero; write the time between two rounds, for example `100ms`")]
    Every,
    /// Its path.
    #[error("`{path}` is no path; it starts with `/` and has no blanks")]
    Path {
        /// What was written.
        path: String,
    },
    /// A path into the JSON of an answer.
    #[error(transparent)]
    Json(#[from] PathError),
    /// Its pattern.
    #[error("the pattern is no regular expression: {0}")]
    Pattern(#[from] regex::Error),
}

impl ProbeSpec {
    /// Whether the probe could start.
    pub fn check(&self) -> Result<(), ProbeProblem> {
        if self.every.is_zero() {
            return Err(ProbeProblem::Every);
        }
        match &self.kind {
            ProbeKind::Http { path, ok, .. } => http::Round::new(path, ok).map(drop),
            ProbeKind::Log { .. } => LogProbe::new(self).map(drop),
        }
    }
}

/// Starts a probe of the server at `base_url` on the current runtime; `None` for a probe that
/// needs no task of its own ([`LogProbe`]).
///
/// Once `stop` is cancelled no round begins; those under way end or reach their deadline, then
/// the handle ends. Dropping the handle stops nothing.
pub fn start(
    spec: &ProbeSpec,
    base_url: &str,
    recorder: Recorder,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ProbeError> {
    begin(spec, base_url, recorder, stop).map_err(|problem| ProbeError {
        probe: spec.name.clone(),
        problem,
    })
}

fn begin(
    spec: &ProbeSpec,
    base_url: &str,
    recorder: Recorder,
    stop: CancellationToken,
) -> Result<Option<JoinHandle<()>>, ProbeProblem> {
    spec.check()?;
    let ProbeKind::Http { path, ok, .. } = &spec.kind else {
        return Ok(None);
    };
    let probe = http::HttpProbe {
        name: spec.name.clone(),
        client: Client::new(Target::parse(base_url)?, recorder.clock()),
        round: http::Round::new(path, ok)?,
        timeout: spec.timeout,
        recorder,
    };
    Ok(Some(tokio::spawn(probe.run(spec.every, stop))))
}
