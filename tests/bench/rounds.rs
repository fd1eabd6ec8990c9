//! Every target in turn, in random order, between two looks at the direct connection.

use std::net::SocketAddr;
use std::time::Duration;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::load::Outcome;
use crate::load::bulk::Way;
use crate::load::talk;
use crate::options::Options;
use crate::result::{Line, Place, Unit};
use crate::stage::{Servers, Stage, Target};
use crate::stats::Spread;

/// One thing that is measured.
struct Task {
    part: &'static str,
    name: &'static str,
    unit: Unit,
    work: Work,
}

/// How it is measured.
#[derive(Clone, Copy)]
enum Work {
    Echo(usize),
    Http(usize),
    Bulk(Way, usize),
    Pgbench(&'static [&'static str]),
}

const TASKS: [Task; 11] = [
    Task::of(
        "pgbench",
        "pgbench -S, 8 clients",
        Work::Pgbench(&["-c8", "-j2"]),
    ),
    Task::of(
        "pgbench",
        "pgbench -S, 8 clients, prepared",
        Work::Pgbench(&["-c8", "-j2", "-Mprepared"]),
    ),
    Task::of("pgbench", "pgbench -S, 1 client", Work::Pgbench(&["-c1"])),
    Task::of(
        "pgbench",
        "pgbench -S, 8 clients, a connection for each transaction",
        Work::Pgbench(&["-c8", "-j2", "-C"]),
    ),
    Task::of("echo", "64 bytes and back, 8 connections", Work::Echo(8)),
    Task::of("echo", "64 bytes and back, 1 connection", Work::Echo(1)),
    Task::of("http", "HTTP as TCP, 50 connections", Work::Http(50)),
    Task::of("bulk", "bulk up, 1 stream", Work::Bulk(Way::Up, 1)),
    Task::of("bulk", "bulk down, 1 stream", Work::Bulk(Way::Down, 1)),
    Task::of("bulk", "bulk up, 8 streams", Work::Bulk(Way::Up, 8)),
    Task::of("bulk", "bulk down, 8 streams", Work::Bulk(Way::Down, 8)),
];

impl Task {
    const fn of(part: &'static str, name: &'static str, work: Work) -> Self {
        let unit = match work {
            Work::Bulk(..) => Unit::Gigabytes,
            Work::Echo(_) | Work::Http(_) | Work::Pgbench(_) => Unit::Transactions,
        };
        Self {
            part,
            name,
            unit,
            work,
        }
    }

    /// Once, through `target` or, without one, directly.
    fn run(
        &self,
        servers: &Servers,
        target: Option<&Target>,
        options: &Options,
    ) -> anyhow::Result<Outcome> {
        let time = options.time();
        let at = |server: SocketAddr| target.map_or(server, |target| target.toward(server));
        match self.work {
            Work::Echo(connections) => talk::talk(at(servers.echo), talk::ECHO, connections, time),
            Work::Http(connections) => talk::talk(at(servers.http), talk::HTTP, connections, time),
            Work::Bulk(way, streams) => {
                let depot = match way {
                    Way::Up => &servers.sink,
                    Way::Down => &servers.source,
                };
                depot.flow(at(depot.address), streams, time)
            }
            Work::Pgbench(args) => {
                let pgbench = servers.pgbench.as_ref();
                let pgbench = pgbench.ok_or_else(|| anyhow::anyhow!("there is no PostgreSQL"))?;
                pgbench.work(at(pgbench.address()), args, options.seconds)
            }
        }
    }
}

/// What one target came to in one round.
struct Turn {
    /// Of the direct connection's rate.
    ratio: f64,
    /// Seconds of processor time per unit.
    cpu: f64,
    p99: Option<Duration>,
}

/// Plays every task that is wanted.
pub(crate) fn play(options: &Options, stage: &Stage) -> anyhow::Result<Vec<Line>> {
    let wanted = TASKS.iter().filter(|task| options.wants(task.part));
    wanted.map(|task| line(task, options, stage)).collect()
}

fn line(task: &Task, options: &Options, stage: &Stage) -> anyhow::Result<Line> {
    let mut dice = ChaCha12Rng::seed_from_u64(1);
    let mut order: Vec<usize> = (0..stage.targets.len()).collect();
    let mut turns: Vec<Vec<Turn>> = stage.targets.iter().map(|_| Vec::new()).collect();
    let mut direct = Vec::new();
    let mut direct_p99 = Vec::new();
    for round in 1..=options.rounds {
        eprintln!("{}: round {round} of {}", task.name, options.rounds);
        order.shuffle(&mut dice);
        let before = task.run(&stage.servers, None, options)?;
        let mut played = Vec::new();
        for &index in &order {
            let target = &stage.targets[index];
            let used = target.family.cpu();
            let outcome = task.run(&stage.servers, Some(target), options)?;
            let used = target.family.cpu().saturating_sub(used);
            played.push((index, outcome, used));
        }
        let after = task.run(&stage.servers, None, options)?;
        let reference = f64::midpoint(before.per_second(), after.per_second());
        direct.push(reference);
        direct_p99.extend([before.p99, after.p99].into_iter().flatten());
        for (index, outcome, used) in played {
            turns[index].push(Turn {
                ratio: outcome.per_second() / reference,
                cpu: used.as_secs_f64() / outcome.units as f64,
                p99: outcome.p99,
            });
        }
    }
    Ok(Line {
        name: task.name,
        unit: task.unit,
        rounds: options.rounds,
        direct: Spread::of(direct),
        direct_p99_us: median_us(direct_p99),
        places: places(task, stage, &turns),
    })
}

/// The first target is chaosproxy, which the others are compared with.
fn places(task: &Task, stage: &Stage, turns: &[Vec<Turn>]) -> Vec<Place> {
    let named = stage.targets.iter().zip(turns);
    named
        .map(|(target, own)| Place {
            target: target.name,
            ratio: Spread::of(own.iter().map(|turn| turn.ratio)),
            cpu_s: Spread::of(own.iter().map(|turn| turn.cpu * task.unit.size())),
            p99_us: median_us(own.iter().filter_map(|turn| turn.p99)),
            rounds_behind_chaosproxy: turns[0]
                .iter()
                .zip(own)
                .filter(|(ours, theirs)| ours.ratio > theirs.ratio)
                .count(),
        })
        .collect()
}

fn median_us(times: impl IntoIterator<Item = Duration>) -> Option<f64> {
    let micros = times.into_iter().map(|time| time.as_secs_f64() * 1e6);
    Spread::of(micros).map(|spread| spread.median)
}
