//! Gross losses of speed. Only ratios to the direct connection, measured in turns: whatever else
//! the machine does, it does to both. Small differences are for `make bench`.

use std::time::Duration;

use crate::support::rig::{Rig, spec};

#[path = "../../bench/load/mod.rs"]
#[expect(dead_code, reason = "the bench uses the rest")]
mod load;

use load::bulk::{Depot, Way};
use load::{Outcome, talk};

/// Of the rate of the direct connection. Builds without optimisation reach about three times this.
const LEAST_ECHO: f64 = 0.1;
const LEAST_BULK: f64 = 0.15;

const ROUNDS: usize = 9;
/// What is slow stays slow; what others of this machine spoil is measured again.
const TRIES: usize = 3;
const TIME: Duration = Duration::from_millis(100);

/// The best of some tries at [`ratio`], no more of them than it takes to reach `least`.
fn best(least: f64, ratio: impl Fn() -> f64) -> f64 {
    let mut best = 0.0;
    for _ in 0..TRIES {
        if best < least {
            best = ratio().max(best);
        }
    }
    best
}

/// The median of the ratios of `through` to `direct`. A machine that had no time even for the
/// direct connection says nothing about the proxy: that round is done again.
fn ratio(
    direct: impl Fn() -> anyhow::Result<Outcome>,
    through: impl Fn() -> anyhow::Result<Outcome>,
) -> f64 {
    let round = || {
        let through = through().map_or(0.0, |outcome| outcome.per_second());
        Some(through / direct().ok()?.per_second())
    };
    let rounds = (0..3 * ROUNDS).filter_map(|_| round());
    let mut ratios: Vec<f64> = rounds.take(ROUNDS).collect();
    assert_eq!(ratios.len(), ROUNDS);
    ratios.sort_by(f64::total_cmp);
    ratios[ROUNDS / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn small_messages_pass_at_a_fair_share_of_the_direct_rate() {
    let rig = Rig::new();
    let server = talk::serve(talk::ECHO).unwrap();
    let proxy = rig.add(spec("db", server)).await.unwrap();
    let ask = |at| move || talk::talk(at, talk::ECHO, 8, TIME);
    let ratio = best(LEAST_ECHO, || ratio(ask(server), ask(proxy)));
    assert!(ratio >= LEAST_ECHO, "{ratio:.3} of the direct rate");
    rig.engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bulk_passes_at_a_fair_share_of_the_direct_rate_both_ways() {
    let rig = Rig::new();
    for (name, way) in [("up", Way::Up), ("down", Way::Down)] {
        let depot = Depot::serve(way).unwrap();
        let proxy = rig.add(spec(name, depot.address)).await.unwrap();
        let flow = |at| depot.flow(at, 1, TIME);
        let ratio = best(LEAST_BULK, || ratio(|| flow(depot.address), || flow(proxy)));
        assert!(ratio >= LEAST_BULK, "{name}: {ratio:.3} of the direct rate");
    }
    rig.engine.shutdown().await;
}
