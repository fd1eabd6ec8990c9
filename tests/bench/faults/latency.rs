//! Delays against what was asked for.

use std::time::Duration;

use chaosproxy::units::Clock;

use super::lasting;
use crate::load::{bulk, pause, talk};
use crate::result::{Delay, Error};
use crate::stage::{Stage, Target};
use crate::stats::Spread;

/// Milliseconds, and how often each is measured.
const DELAYS: [(u64, usize); 3] = [(1, 500), (10, 200), (100, 50)];
/// What is to come through a delay of 100 ms at once.
const BULK: usize = 20_000_000;

/// Every answer is delayed; how much more than asked for is the round trip?
pub(super) async fn delays(stage: &Stage) -> anyhow::Result<Vec<Delay>> {
    let mut found = Vec::new();
    for (ms, count) in DELAYS {
        eprintln!("latency: {ms} ms");
        let wanted = Duration::from_millis(ms);
        let target = delayed(stage, "echo", ms).await?;
        let at = target.toward(stage.servers.echo);
        let times = talk::round_trips(at, talk::ECHO, count)?;
        target.stop().await?;
        let clock = Clock::start();
        let slept = (0..count).map(|_| {
            let begun = clock.now();
            pause(wanted);
            clock.now().since(begun)
        });
        let plain = stage.targets[0].toward(stage.servers.echo);
        found.push(Delay {
            ms,
            count,
            error: Error::of(times, wanted),
            nanosleep: Error::of(slept.collect(), wanted),
            undelayed: Error::of(talk::round_trips(plain, talk::ECHO, count)?, Duration::ZERO),
        });
    }
    Ok(found)
}

/// Seconds that 20 MB take through 100 ms, from the connection to the last byte.
pub(super) async fn bulk(stage: &Stage) -> anyhow::Result<Option<Spread>> {
    eprintln!("latency: 20 MB through 100 ms");
    let source = stage.servers.source.address;
    let target = delayed(stage, "source", 100).await?;
    let at = target.toward(source);
    let times = (0..5).map(|_| bulk::fetch(at, BULK));
    let times = times.collect::<anyhow::Result<Vec<_>>>()?;
    target.stop().await?;
    Ok(Spread::of(times.iter().map(Duration::as_secs_f64)))
}

/// Milliseconds that each of 20 messages takes through 100 ms when one is sent every 5 ms.
pub(super) async fn pipelined(stage: &Stage) -> anyhow::Result<Option<Spread>> {
    eprintln!("latency: 20 messages under way at once");
    let target = delayed(stage, "echo", 100).await?;
    let at = target.toward(stage.servers.echo);
    let times = talk::pipelined(at, talk::ECHO, 20, Duration::from_millis(5))?;
    target.stop().await?;
    Ok(Spread::of(
        times.iter().map(|time| time.as_secs_f64() * 1e3),
    ))
}

/// A chaosproxy that delays what `proxy` brings back.
async fn delayed(stage: &Stage, proxy: &str, ms: u64) -> anyhow::Result<Target> {
    let params = format!("type = \"latency\"\nlatency = \"{ms}ms\"\ndirection = \"downstream\"");
    stage.distort("delay", &lasting(proxy, &params)).await
}
