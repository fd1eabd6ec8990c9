use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::request::{Request, Values};
use super::sender::Sender;
use super::{Asked, HttpOk, Judge, KEEP, TOO_LONG, describe};
use crate::event::{Fact, Outcome};
use crate::http::Answer;
use crate::jsonpath::{Condition, Path};
use crate::units::Moment;

/// Deadline of the request that starts the job.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// One long-running job: started once, polled until it is done.
///
/// A poll waits for the one before it, so that statuses are recorded in the order in which the
/// service gave them; points of the grid that pass meanwhile are left out.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) start: Request,
    pub(super) status: Request,
    pub(super) done: Condition,
    pub(super) progress: Option<Path>,
    pub(super) every: Duration,
    pub(super) timeout: Duration,
    /// Says whether the answer to a poll is ok.
    pub(super) ok: Judge,
}

/// Whether to poll again.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Running,
    Done,
}

impl Job {
    pub(super) async fn run(self, sender: Sender, stop: CancellationToken) {
        let id = match self.begin(&sender).await {
            Ok(id) => id,
            Err(why) => {
                let name = &sender.name;
                let message = format!("workload `{name}`: the job did not start: {why}");
                sender.recorder.record(Fact::Trouble { message });
                return;
            }
        };
        let clock = sender.recorder.clock();
        let mut intended = clock.now();
        for poll in 1.. {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = tokio::time::sleep_until(clock.instant(intended).into()) => {}
            }
            if self.poll(&sender, &id, poll, intended).await == State::Done {
                return;
            }
            intended = self.next(intended, clock.now());
        }
    }

    /// Starts the job and returns its id. Never a second time: it may have begun.
    async fn begin(&self, sender: &Sender) -> Result<String, String> {
        let values = Values::new(&sender.keys, 0, None);
        let filled = self
            .start
            .fill(&values, KEEP)
            .map_err(|error| error.to_string())?;
        let asked = Asked::by(filled.json.as_ref());
        let call = sender.client.call(filled.call, START_TIMEOUT);
        let answer = call.await.map_err(|failure| failure.to_string())?;
        let judge = Judge::new(&HttpOk::default()).map_err(|error| error.to_string())?;
        if let Outcome::NotOk { why, .. } = judge.judge(asked, &answer) {
            return Err(why);
        }
        match document(&answer)?.get("id") {
            Some(Value::String(id)) => Ok(id.clone()),
            Some(Value::Number(id)) => Ok(id.to_string()),
            _ => Err(format!("its answer has no `$.id`: {}", describe(&answer))),
        }
    }

    async fn poll(&self, sender: &Sender, id: &str, poll: u64, intended: Moment) -> State {
        let clock = sender.recorder.clock();
        let sent = clock.now();
        let values = Values::new(&sender.keys, poll, Some(id));
        let answer = match self.status.fill(&values, KEEP) {
            Ok(filled) => sender
                .client
                .call(filled.call, self.timeout)
                .await
                .map_err(Outcome::from),
            Err(error) => Err(Outcome::ConnectError {
                why: format!("not sent: {error}"),
            }),
        };
        let done = clock.now();
        let status = answer.and_then(|answer| {
            let status = Some(answer.status);
            let outcome = self.ok.judge(Asked::Other, &answer);
            if !outcome.is_ok() {
                return Err(outcome);
            }
            let document = document(&answer).map_err(|why| Outcome::NotOk { status, why })?;
            Ok((outcome, document))
        });
        let (outcome, document) = match status {
            Ok((outcome, document)) => (outcome, Some(document)),
            Err(outcome) => (outcome, None),
        };
        sender.record([intended, sent, done], outcome, None);
        document.map_or(State::Running, |document| {
            self.record(sender, id, done, &document)
        })
    }

    fn record(&self, sender: &Sender, id: &str, at: Moment, document: &Value) -> State {
        let done = self.done.holds(document);
        let progress = self.progress.as_ref().and_then(|path| path.find(document));
        let fact = Fact::JobStatus {
            workload: sender.name.clone(),
            job: id.to_owned(),
            progress: progress.and_then(Value::as_u64),
            done,
            state: document
                .get("state")
                .and_then(Value::as_str)
                .map(str::to_owned),
        };
        sender.recorder.record_at(at, fact);
        if done { State::Done } else { State::Running }
    }

    /// The first point of the grid after `last` that is not past.
    fn next(&self, last: Moment, now: Moment) -> Moment {
        let mut next = last + self.every;
        while next < now {
            next = next + self.every;
        }
        next
    }
}

/// The JSON of an answer.
fn document(answer: &Answer) -> Result<Value, String> {
    if !answer.is_whole() {
        return Err(TOO_LONG.to_owned());
    }
    serde_json::from_slice(&answer.body)
        .map_err(|error| format!("the answer is not JSON ({error}): {}", describe(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_status_that_is_too_long_its_length_is_told() {
        let body = r#"{"id": "7", "log": "#;
        let mut answer = Answer {
            status: 200,
            headers: hyper::HeaderMap::new(),
            body: hyper::body::Bytes::from_static(body.as_bytes()),
            length: body.len() as u64,
            sha256: None,
        };
        let why = document(&answer).unwrap_err();
        assert!(why.starts_with("the answer is not JSON"), "{why}");
        answer.length = 2 << 20;
        assert_eq!(document(&answer).unwrap_err(), TOO_LONG);
    }
}
