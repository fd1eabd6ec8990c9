use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use sha2::{Digest, Sha256};

/// What `{{uuid}}` stands for: a key for each ordinal, the same in every run with the same seed.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    rng: ChaCha12Rng,
}

impl Keys {
    /// The keys of one workload; those of another name share none with it.
    pub(super) fn new(seed: u64, workload: &str) -> Self {
        Self {
            rng: keyed(seed, workload, ""),
        }
    }

    /// The random (version 4) UUID of an ordinal. Each ordinal has its own stream, so that one
    /// request more or less changes no other key.
    pub(super) fn uuid(&self, ordinal: u64) -> uuid::Uuid {
        let mut rng = self.rng.clone();
        rng.set_stream(ordinal);
        uuid::Builder::from_random_bytes(rng.random()).into_uuid()
    }
}

/// The latest that a source begins after it is started, whatever its interval: the steady state
/// waits for its first observation.
const LATEST: Duration = Duration::from_secs(1);

/// How far into its interval `every` a workload or probe begins, at most a second: so that none keeps
/// step with the schedule, or with another.
pub(super) fn phase(seed: u64, source: &str, every: Duration) -> Duration {
    keyed(seed, source, "\0phase").random_range(Duration::ZERO..=every.min(LATEST))
}

/// The generator of one source for one purpose.
fn keyed(seed: u64, source: &str, purpose: &str) -> ChaCha12Rng {
    let digest = Sha256::new()
        .chain_update(seed.to_le_bytes())
        .chain_update(source)
        .chain_update(purpose)
        .finalize();
    ChaCha12Rng::from_seed(digest.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn first(seed: u64, workload: &str) -> Vec<uuid::Uuid> {
        let keys = Keys::new(seed, workload);
        (0..100).map(|ordinal| keys.uuid(ordinal)).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_keys_and_no_key_comes_twice() {
        assert_eq!(first(7, "writes"), first(7, "writes"));
        let all: BTreeSet<_> = [first(7, "writes"), first(8, "writes"), first(7, "others")]
            .concat()
            .into_iter()
            .collect();
        assert_eq!(all.len(), 300);
        assert!(all.iter().all(|key| key.get_version_num() == 4));
    }

    #[test]
    fn each_source_has_a_phase_of_its_own_within_its_interval() {
        let tenth = Duration::from_millis(100);
        let of = |seed, source| phase(seed, source, tenth);
        assert_eq!(of(7, "reads"), of(7, "reads"));
        let phases: BTreeSet<_> = [of(7, "reads"), of(7, "writes"), of(8, "reads")].into();
        assert_eq!(phases.len(), 3);
        assert!(phases.iter().all(|phase| *phase <= tenth), "{phases:?}");
        assert!(phase(7, "seldom", Duration::from_secs(60)) <= LATEST);
    }
}
