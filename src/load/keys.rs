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
        let digest = Sha256::new()
            .chain_update(seed.to_le_bytes())
            .chain_update(workload)
            .finalize();
        Self {
            rng: ChaCha12Rng::from_seed(digest.into()),
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
}
