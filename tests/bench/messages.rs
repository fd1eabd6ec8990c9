//! What it costs to follow messages: processor time per transaction of a proxy that follows them,
//! and of one whose fault meets none of them, beside one that passes bytes.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha12Rng;

use crate::load::talk;
use crate::options::Options;
use crate::result::Following;
use crate::stage::{Stage, Target};
use crate::stats::Spread;

/// Faults that match nothing.
const ARMED: &str = "
[[fault]]
name   = \"statements\"
type   = \"pg_error\"
target = \"postgres\"
at     = \"0s\"
for    = \"23h\"
sqlstate = \"40001\"
sql    = \"^never$\"

[[fault]]
name   = \"requests\"
type   = \"http_abort\"
target = \"http\"
at     = \"0s\"
for    = \"23h\"
path   = \"^/never$\"
";

#[derive(Clone, Copy)]
enum Work {
    Pgbench(&'static [&'static str]),
    Http,
}

const TASKS: [(&str, Work); 3] = [
    ("pgbench -S, simple", Work::Pgbench(&["-c8", "-j2"])),
    (
        "pgbench -S, prepared",
        Work::Pgbench(&["-c8", "-j2", "-Mprepared"]),
    ),
    ("HTTP, 50 connections", Work::Http),
];

/// Each task in turns: as bytes twice (the second shows the noise), followed, and with a fault.
pub(crate) async fn measure(options: &Options, stage: &Stage) -> anyhow::Result<Vec<Following>> {
    let again = stage.following("bytes", "", false).await?;
    let followed = stage.following("followed", "", true).await?;
    let armed = stage.following("armed", ARMED, true).await?;
    let targets = [&stage.targets[0], &again, &followed, &armed];
    let mut dice = ChaCha12Rng::seed_from_u64(1);
    let mut found = Vec::new();
    for (name, work) in TASKS {
        let mut ratios = [vec![], vec![], vec![]];
        let mut bytes_us = Vec::new();
        for round in 1..=options.rounds {
            eprintln!("{name}: round {round} of {}", options.rounds);
            let mut order = [0, 1, 2, 3];
            order.shuffle(&mut dice);
            let mut costs = [0.0; 4];
            for index in order {
                costs[index] = cost(work, targets[index], options, stage)?;
            }
            bytes_us.push(costs[0] * 1e6);
            for (ratios, cost) in ratios.iter_mut().zip(&costs[1..]) {
                ratios.push(cost / costs[0]);
            }
        }
        let [again, followed, armed] = ratios.map(Spread::of);
        found.push(Following {
            name,
            bytes_us: Spread::of(bytes_us),
            again,
            followed,
            armed,
        });
    }
    for target in [again, followed, armed] {
        target.stop().await?;
    }
    Ok(found)
}

/// Seconds of processor time per transaction.
fn cost(work: Work, target: &Target, options: &Options, stage: &Stage) -> anyhow::Result<f64> {
    let used = target.family.cpu();
    let outcome = match work {
        Work::Http => talk::talk(
            target.toward(stage.servers.http),
            talk::HTTP,
            50,
            options.time(),
        )?,
        Work::Pgbench(args) => {
            let pgbench = stage.servers.pgbench.as_ref();
            let pgbench = pgbench.ok_or_else(|| anyhow::anyhow!("there is no PostgreSQL"))?;
            pgbench.work(target.toward(pgbench.address()), args, options.seconds)?
        }
    };
    let used = target.family.cpu().saturating_sub(used);
    Ok(used.as_secs_f64() / outcome.units as f64)
}
