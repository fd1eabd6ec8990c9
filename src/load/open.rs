use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::http::{Answer, Client};
use super::keys::Keys;
use super::request::{Filled, Request, Values};
use super::spec::LedgerSpec;
use super::{RequestError, arrivals, describe};
use crate::event::{Fact, Name, Outcome, Recorder, Sample};
use crate::units::Moment;

/// Bytes of an answer that are kept to say what was wrong with it.
const KEEP: usize = 1 << 10;

/// Requests at fixed arrivals that never wait for replies.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) name: Name,
    pub(super) client: Client,
    pub(super) request: Request,
    pub(super) timeout: Duration,
    pub(super) keys: Keys,
    pub(super) ledger: Option<LedgerSpec>,
    pub(super) recorder: Recorder,
}

impl Workload {
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
                let key = self
                    .ledger
                    .as_ref()
                    .and_then(|ledger| ledger.key_in(&filled));
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
        let values = Values::new(&self.keys, ordinal, None);
        self.request.fill(&values, KEEP)
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
