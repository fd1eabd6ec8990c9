use super::keys::Keys;
use crate::event::{Fact, Name, Outcome, Recorder, Sample};
use crate::http::{Client, Target, TargetError};
use crate::units::Moment;

/// What every workload sends with, and records under its name.
#[derive(Debug)]
pub(super) struct Sender {
    pub(super) name: Name,
    pub(super) client: Client,
    pub(super) keys: Keys,
    pub(super) recorder: Recorder,
}

impl Sender {
    pub(super) fn new(
        name: &Name,
        base_url: &str,
        seed: u64,
        recorder: Recorder,
    ) -> Result<Self, TargetError> {
        Ok(Self {
            name: name.clone(),
            client: Client::new(Target::parse(base_url)?, recorder.clock()),
            keys: Keys::new(seed, name),
            recorder,
        })
    }
    /// Records an observation.
    pub(super) fn record(
        &self,
        [intended, sent, done]: [Moment; 3],
        outcome: Outcome,
        digest: Option<Result<String, String>>,
    ) {
        let sample = Sample {
            source: self.name.clone(),
            intended,
            sent,
            done,
            outcome,
            digest,
        };
        self.recorder.record_at(done, Fact::Sample(sample));
    }
}
