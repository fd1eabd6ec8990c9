use std::time::Duration;

use hyper::Uri;

use super::{Look, ProbeProblem};
use crate::event::Outcome;
use crate::http::{Call, Client};
use crate::load::{Asked, HttpOk, Judge, KEEP};

/// GETs of one path.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) client: Client,
    pub(super) round: Round,
}

/// What one round asks and what it wants to hear.
#[derive(Debug)]
pub(super) struct Round {
    call: Call,
    ok: Judge,
}

impl Look for Http {
    async fn look(&self, deadline: Duration) -> Outcome {
        let answer = self.client.call(self.round.call.clone(), deadline).await;
        answer.map_or_else(Outcome::from, |answer| {
            self.round.ok.judge(Asked::Other, &answer)
        })
    }
}

/// Whether `path` can be asked for.
pub(super) fn check_path(path: &str) -> Result<(), ProbeProblem> {
    if path.starts_with('/') && path.parse::<Uri>().is_ok() {
        return Ok(());
    }
    let path = path.to_owned();
    Err(ProbeProblem::Path { path })
}

impl Round {
    pub(super) fn new(path: &str, ok: &HttpOk) -> Result<Self, ProbeProblem> {
        check_path(path)?;
        Ok(Self {
            call: Call::get(path, KEEP),
            ok: Judge::new(ok)?,
        })
    }
}
