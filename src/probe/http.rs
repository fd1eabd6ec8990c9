use std::time::Duration;

use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Uri};

use super::spec::HttpOk;
use super::wanted::Wanted;
use super::{Look, ProbeProblem};
use crate::event::Outcome;
use crate::load::http::{Answer, Call, Client};

/// Bytes of an answer that are kept; what a health endpoint says is far shorter.
const KEEP: usize = 1 << 20;

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
    status: Option<u16>,
    json: Wanted,
}

impl Look for Http {
    async fn look(&self, deadline: Duration) -> Outcome {
        let answer = self.client.call(self.round.call.clone(), deadline).await;
        answer.map_or_else(Outcome::from, |answer| self.round.judge(&answer))
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
            call: Call {
                method: Method::GET,
                path: path.to_owned(),
                headers: HeaderMap::new(),
                body: Bytes::new(),
                keep: KEEP,
            },
            status: ok.status,
            json: Wanted::new(&ok.json)?,
        })
    }

    fn judge(&self, answer: &Answer) -> Outcome {
        let status = Some(answer.status);
        match self.objection(answer) {
            None => Outcome::Ok { status },
            Some(why) => Outcome::NotOk { status, why },
        }
    }

    /// What is not as wanted, if anything.
    fn objection(&self, answer: &Answer) -> Option<String> {
        let status = answer.status;
        match self.status {
            Some(wanted) if status != wanted => {
                return Some(format!("status {status}, expected {wanted}"));
            }
            None if !(200..300).contains(&status) => {
                return Some(format!("status {status}, expected 2xx"));
            }
            _ => {}
        }
        self.json.objection(&answer.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn judge(ok: &HttpOk, status: u16, body: &str) -> Result<(), String> {
        let answer = Answer {
            status,
            body: Bytes::copy_from_slice(body.as_bytes()),
        };
        match Round::new("/health", ok).unwrap().judge(&answer) {
            Outcome::Ok { .. } => Ok(()),
            Outcome::NotOk { why, .. } => Err(why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_named_must_hold() {
        let ok = HttpOk {
            status: Some(200),
            json: [
                ("$.status".to_owned(), json!("healthy")),
                ("$.pool.size".to_owned(), json!(5)),
            ]
            .into(),
        };
        let healthy = r#"{"status": "healthy", "pool": {"size": 5.0}}"#;
        assert_eq!(judge(&ok, 200, healthy), Ok(()));
        let why = |status, body| judge(&ok, status, body).unwrap_err();
        assert_eq!(why(503, healthy), "status 503, expected 200");
        assert_eq!(
            why(200, r#"{"status": "degraded", "pool": {"size": 5}}"#),
            r#"`$.status` is "degraded", expected "healthy""#
        );
        assert_eq!(
            why(200, r#"{"status": "healthy"}"#),
            "no `$.pool.size` in the answer"
        );
        assert!(why(200, "fine").starts_with("the answer is not JSON"));
    }

    #[test]
    fn without_a_status_any_2xx_will_do() {
        assert_eq!(judge(&HttpOk::default(), 204, ""), Ok(()));
        assert_eq!(
            judge(&HttpOk::default(), 302, ""),
            Err("status 302, expected 2xx".to_owned())
        );
    }
}
