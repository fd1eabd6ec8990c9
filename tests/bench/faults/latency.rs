//! Delays against what was asked for.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use chaosproxy::units::Clock;

use super::lasting;
use crate::load::talk::{self, Caller};
use crate::load::{bulk, pause};
use crate::result::{Delay, Error};
use crate::stage::{Stage, Target};
use crate::stats::Spread;

/// Milliseconds; connections, which ask in turns; questions of each.
const DELAYS: [(u64, u32, usize); 3] = [(1, 1, 1000), (10, 4, 250), (100, 20, 50)];
/// What is to come through a delay of 100 ms at once.
const BULK: usize = 20_000_000;

/// Every answer is delayed; how much more than asked for is the round trip?
pub(super) async fn delays(stage: &Stage) -> anyhow::Result<Vec<Delay>> {
    let mut found = Vec::new();
    for (ms, connections, questions) in DELAYS {
        eprintln!("latency: {ms} ms");
        let wanted = Duration::from_millis(ms);
        let target = delayed(stage, "echo", ms).await?;
        let at = [&target, &stage.targets[0]].map(|target| target.toward(stage.servers.echo));
        let callers = (0..connections).map(|nth| {
            let rest = wanted * nth / connections;
            thread::spawn(move || call(at, rest, wanted, questions))
        });
        let callers: Vec<_> = callers.collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.join().map_err(|_| anyhow!("a caller panicked"))??);
        }
        target.stop().await?;
        let all = |of: fn(&Times) -> Duration| times.iter().map(of).collect();
        found.push(Delay {
            ms,
            count: times.len(),
            error: Error::of(all(|times| times.delayed), wanted),
            nanosleep: Error::of(all(|times| times.slept), wanted),
            undelayed: Error::of(all(|times| times.undelayed), Duration::ZERO),
        });
    }
    Ok(found)
}

/// What is compared, measured right after one another.
struct Times {
    delayed: Duration,
    slept: Duration,
    /// A round trip that nothing delays, on a machine that has rested as long as for the others.
    undelayed: Duration,
}

/// Asks through the proxy that delays, the first of `at`, and through the other one.
fn call(
    at: [SocketAddr; 2],
    rest: Duration,
    wanted: Duration,
    questions: usize,
) -> io::Result<Vec<Times>> {
    let clock = Clock::start();
    let mut far = Caller::connect(at[0], talk::ECHO)?;
    let mut near = Caller::connect(at[1], talk::ECHO)?;
    pause(rest);
    let times = (0..questions).map(|_| {
        let delayed = far.ask()?;
        let begun = clock.now();
        pause(wanted);
        Ok(Times {
            delayed,
            slept: clock.now().since(begun),
            undelayed: near.ask()?,
        })
    });
    times.collect()
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
