//! What a fault costs that is in force.

use super::lasting;
use crate::options::Options;
use crate::result::Cost;
use crate::stage::{Stage, Target};
use crate::stats::Spread;

/// Processor time per transaction with one latency fault in force, beside that without: as fast as
/// it goes, and at the rate that the fault leaves.
pub(super) async fn measure(options: &Options, stage: &Stage) -> anyhow::Result<Option<Cost>> {
    let Some(pgbench) = &stage.servers.pgbench else {
        return Ok(None);
    };
    let params = "type = \"latency\"\nlatency = \"1ms\"\ndirection = \"downstream\"";
    let target = stage.distort("delay", &lasting("postgres", params)).await?;
    let run = |target: &Target, pace: Option<f64>| {
        let before = target.family.cpu();
        let rate = pace.map(|pace| format!("--rate={pace:.0}"));
        let args = ["-c8", "-j2"].into_iter().chain(rate.as_deref());
        let at = target.toward(pgbench.address());
        let outcome = pgbench.work(at, &args.collect::<Vec<_>>(), options.seconds)?;
        let spent = target.family.cpu().saturating_sub(before);
        let each = spent.as_secs_f64() / outcome.units as f64;
        anyhow::Ok((each * 1e5, outcome.per_second()))
    };
    let (mut plain, mut delayed, mut paced, mut rates) = (vec![], vec![], vec![], vec![]);
    for round in 1..=options.rounds {
        eprintln!("cost of a latency: round {round} of {}", options.rounds);
        plain.push(run(&stage.targets[0], None)?.0);
        let (cost, rate) = run(&target, None)?;
        delayed.push(cost);
        rates.push(rate);
        paced.push(run(&stage.targets[0], Some(rate))?.0);
    }
    target.stop().await?;
    let spreads = [plain, delayed, paced, rates].map(Spread::of);
    let [Some(plain), Some(delayed), Some(paced), Some(rate)] = spreads else {
        return Ok(None);
    };
    Ok(Some(Cost {
        plain,
        delayed,
        paced,
        rate,
    }))
}
