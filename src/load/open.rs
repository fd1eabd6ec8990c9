use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::request::{Filled, Request, Values};
use super::sender::Sender;
use super::spec::LedgerSpec;
use super::{Asked, Compare, Grid, Judge, KEEP, RequestError, arrivals};
use crate::event::{Fact, Outcome};
use crate::http::Answer;
use crate::units::Moment;

/// Requests at fixed arrivals that never wait for replies.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) request: Request,
    pub(super) timeout: Duration,
    pub(super) ledger: Option<LedgerSpec>,
    pub(super) compare: Option<Compare>,
    pub(super) ok: Judge,
}

impl Workload {
    pub(super) async fn run(self, sender: Sender, grid: Grid, stop: CancellationToken) {
        let name = sender.name.clone();
        let recorder = sender.recorder.clone();
        let both = Arc::new((self, sender));
        arrivals(&name, grid, &recorder, &stop, |ordinal, intended| {
            let both = Arc::clone(&both);
            async move { both.0.request(&both.1, ordinal, intended).await }
        })
        .await;
    }

    async fn request(&self, sender: &Sender, ordinal: u64, intended: Moment) {
        let clock = sender.recorder.clock();
        let sent = clock.now();
        let (key, (outcome, digest)) = match self.fill(sender, ordinal) {
            Ok(mut filled) => {
                filled.call.hash = self.compare == Some(Compare::Body);
                let key = self
                    .ledger
                    .as_ref()
                    .and_then(|ledger| ledger.key_in(&filled));
                let asked = Asked::by(filled.json.as_ref());
                let answer = sender.client.call(filled.call, self.timeout).await;
                let judged = answer.map(|answer| self.judge(asked, &answer));
                (key, judged.unwrap_or_else(|failure| (failure.into(), None)))
            }
            Err(error) => {
                let why = format!("not sent: {error}");
                (None, (Outcome::ConnectError { why }, None))
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
            sender.recorder.record_at(done, fact);
        }
        sender.record([intended, sent, done], outcome, digest);
    }

    fn fill(&self, sender: &Sender, ordinal: u64) -> Result<Filled, RequestError> {
        let values = Values::new(&sender.keys, ordinal, None);
        self.request.fill(&values, KEEP)
    }

    /// The outcome, and the digest of an answer that is compared.
    fn judge(&self, asked: Asked, answer: &Answer) -> (Outcome, Option<Result<String, String>>) {
        let outcome = self.ok.judge(asked, answer);
        let compare = self.compare.as_ref().filter(|_| outcome.is_ok());
        let digest = compare.map(|compare| compare.digest(answer));
        (outcome, digest)
    }
}
