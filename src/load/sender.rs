use super::http::{Client, Target, TargetError};
use super::keys::Keys;
use crate::event::{Name, Recorder};

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
}
