use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::http::{Answer, Client};
use super::keys::Keys;
use super::request::{Filled, REQUEST_NAMES, Request, Values};
use super::spec::{LedgerSpec, RequestSpec};
use super::{LoadProblem, RequestError, arrivals, describe};
use crate::event::{Fact, Name, Outcome, Recorder, Sample};
use crate::units::Moment;

/// Bytes of an answer that are kept to say what was wrong with it.
const KEEP: usize = 1 << 10;

/// Requests at fixed arrivals that never wait for replies.
#[derive(Debug)]
pub(super) struct Workload {
    name: Name,
    client: Client,
    request: Request,
    timeout: Duration,
    keys: Keys,
    ledger: Option<LedgerSpec>,
    recorder: Recorder,
}

impl Workload {
    pub(super) fn new(
        name: Name,
        client: Client,
        request: &RequestSpec,
        timeout: Duration,
        keys: Keys,
        ledger: Option<&LedgerSpec>,
        recorder: Recorder,
    ) -> Result<Self, LoadProblem> {
        let workload = Self {
            name,
            client,
            request: Request::new(request, REQUEST_NAMES)?,
            timeout,
            keys,
            ledger: ledger.cloned(),
            recorder,
        };
        let filled = workload.fill(0)?;
        if let Some(ledger) = ledger.filter(|ledger| key(ledger, &filled).is_none()) {
            return Err(LoadProblem::Key {
                ledger: ledger.name.clone(),
                key: ledger.key.clone(),
            });
        }
        Ok(workload)
    }

    pub(super) async fn run(self, every: Duration, stop: CancellationToken) {
        let name = self.name.clone();
        let recorder = self.recorder.clone();
        let workload = Arc::new(self);
        arrivals(&name, every, &recorder, &stop, |ordinal, intended| {
            Arc::clone(&workload).request(ordinal, intended)
        })
        .await;
    }

    async fn request(self: Arc<Self>, ordinal: u64, intended: Moment) {
        let clock = self.recorder.clock();
        let sent = clock.now();
        let (key, outcome) = match self.fill(ordinal) {
            Ok(filled) => {
                let key = self.ledger.as_ref().and_then(|ledger| key(ledger, &filled));
                let answer = self.client.call(filled.call, self.timeout).await;
                (
                    key,
                    answer.map_or_else(Outcome::from, |answer| judge(&answer)),
                )
            }
            Err(error) => {
                let why = format!("not sent: {error}");
                (None, Outcome::ConnectError { why })
            }
        };
        let done = clock.now();
        if let (Some(ledger), Some(key)) = (&self.ledger, key) {
            let fact = Fact::LedgerWrite {
                ledger: ledger.name.clone(),
                key,
                sent,
                fate: ledger.fate(&outcome),
            };
            self.recorder.record_at(done, fact);
        }
        let sample = Sample {
            source: self.name.clone(),
            intended,
            sent,
            done,
            outcome,
        };
        self.recorder.record_at(done, Fact::Sample(sample));
    }

    fn fill(&self, ordinal: u64) -> Result<Filled, RequestError> {
        let values = Values {
            uuid: self.keys.uuid(ordinal),
            seq: ordinal,
            job: None,
        };
        self.request.fill(&values, KEEP)
    }
}

/// The key under which the ledger knows the request.
fn key(ledger: &LedgerSpec, filled: &Filled) -> Option<String> {
    match filled.json.as_ref()?.get(&ledger.key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn judge(answer: &Answer) -> Outcome {
    let status = Some(answer.status);
    match answer.status {
        200..300 => Outcome::Ok { status },
        _ => Outcome::NotOk {
            status,
            why: describe(answer),
        },
    }
}
