use std::time::Duration;

use tokio::task::JoinHandle;

use crate::event::{Fact, Recorder};

/// Records once a second how busy the machine was. Machines without `/proc/stat` are not watched.
pub(super) fn watch(recorder: Recorder) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut before = cpu_time();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.tick().await;
        loop {
            second.tick().await;
            let now = cpu_time();
            if let (Some(before), Some(now)) = (before, now)
                && let Some(busy) = busy(before, now)
            {
                recorder.record(Fact::Machine { busy });
            }
            before = now;
        }
    })
}

/// Ticks of all cores since the start of the machine.
#[derive(Debug, Clone, Copy)]
struct CpuTime {
    idle: u64,
    total: u64,
}

fn cpu_time() -> Option<CpuTime> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of `/proc/stat`: user nice system idle iowait irq softirq steal. Guest time is
/// part of user time already.
fn parse(stat: &str) -> Option<CpuTime> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(CpuTime {
        idle: ticks.get(3)? + ticks.get(4)?,
        total: ticks.iter().sum(),
    })
}

fn busy(before: CpuTime, now: CpuTime) -> Option<f64> {
    let total = now
        .total
        .checked_sub(before.total)
        .filter(|ticks| *ticks > 0)?;
    let idle = now.idle.saturating_sub(before.idle).min(total);
    Some(1.0 - idle as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_is_the_share_of_ticks_that_were_not_idle() {
        let before = parse("cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1").unwrap();
        let now = parse("cpu  160 0 60 820 60 0 0 0 0 0\ncpu0 1").unwrap();
        assert!((busy(before, now).unwrap() - 0.7).abs() < 1e-9);
        assert!(busy(now, now).is_none());
        assert!(parse("intr 1").is_none());
    }
}
