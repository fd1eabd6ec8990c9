//! Dice that depend on what they are thrown for, and on nothing else.
//!
//! A generator is keyed by seed, proxy, connection, way, fault and occurrence: adding a fault or a
//! connection shifts nobody else's dice, and a run is replayed from its seed.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha12Rng;
use sha2::{Digest, Sha256};

use super::Direction;
use crate::event::Name;
use crate::units::Share;

/// Which connection dice are thrown for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnKey {
    /// The seed of the run.
    pub seed: u64,
    /// The proxy.
    pub proxy: Name,
    /// Ordinal of the connection at this proxy, from 0.
    pub conn: u64,
}

/// Dice, once they are there.
pub type Cup = Option<Box<ChaCha12Rng>>;

/// The generator of one fault occurrence on one way of one connection.
pub(super) fn generator(
    key: &ConnKey,
    direction: Direction,
    fault: &str,
    occurrence: u32,
) -> ChaCha12Rng {
    let way = match direction {
        Direction::Upstream => "upstream",
        Direction::Downstream => "downstream",
    };
    keyed(key, way, fault, occurrence)
}

/// Whether the connection is among the `share` of connections that the fault touches: one draw
/// per connection and occurrence, the same whenever it is asked.
pub(super) fn drawn(key: &ConnKey, fault: &str, occurrence: u32, share: Share) -> bool {
    // All need no draw, which would cost more than the rest of an injection.
    share == Share::ALL || keyed(key, "scope", fault, occurrence).random_bool(share.fraction())
}

/// The generator that draws the faults of a schedule.
pub fn scheduler(seed: u64) -> ChaCha12Rng {
    let nobody = ConnKey {
        seed,
        proxy: "".into(),
        conn: 0,
    };
    keyed(&nobody, "schedule", "", 0)
}

fn keyed(key: &ConnKey, purpose: &str, fault: &str, occurrence: u32) -> ChaCha12Rng {
    let mut hash = Sha256::new()
        .chain_update(key.seed.to_be_bytes())
        .chain_update(key.conn.to_be_bytes())
        .chain_update(occurrence.to_be_bytes());
    for text in [&key.proxy, purpose, fault] {
        // With its length in front, so that no two keys run into the same bytes.
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    ChaCha12Rng::from_seed(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn key(conn: u64) -> ConnKey {
        ConnKey {
            seed: 7,
            proxy: "db".into(),
            conn,
        }
    }

    #[test]
    fn the_same_key_throws_the_same_dice_and_any_other_key_throws_others() {
        use Direction::{Downstream, Upstream};
        let first = |key: &ConnKey, direction, fault: &str, occurrence| {
            generator(key, direction, fault, occurrence).next_u64()
        };
        let reference = first(&key(0), Upstream, "slow", 0);
        assert_eq!(first(&key(0), Upstream, "slow", 0), reference);

        let reseeded = ConnKey { seed: 8, ..key(0) };
        let elsewhere = ConnKey {
            proxy: "db2".into(),
            ..key(0)
        };
        for other in [
            first(&reseeded, Upstream, "slow", 0),
            first(&elsewhere, Upstream, "slow", 0),
            first(&key(1), Upstream, "slow", 0),
            first(&key(0), Downstream, "slow", 0),
            first(&key(0), Upstream, "slow2", 0),
            first(&key(0), Upstream, "slow", 1),
        ] {
            assert_ne!(other, reference);
        }
    }

    #[test]
    fn dice_are_the_same_on_every_machine_and_release() {
        let mut dice = generator(&key(3), Direction::Upstream, "slow", 1);
        assert_eq!(dice.next_u64(), 6_423_096_010_552_922_094);
    }

    #[test]
    fn a_fifth_of_the_connections_is_about_a_fifth() {
        let share: Share = "20%".parse().unwrap();
        let hit = (0..2000)
            .filter(|conn| drawn(&key(*conn), "cut", 0, share))
            .count();
        assert!((340..460).contains(&hit), "{hit} of 2000");
    }

    #[test]
    fn all_and_none_are_exact() {
        assert!((0..500).all(|conn| drawn(&key(conn), "cut", 0, Share::ALL)));
        assert!((0..500).all(|conn| !drawn(&key(conn), "cut", 0, Share::NONE)));
    }
}
