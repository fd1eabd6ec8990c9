//! What a fault costs that is in force.

use super::lasting;
use crate::options::Options;
use crate::result::Cost;
use crate::stage::Stage;
use crate::stats::Spread;

/// Processor time per transaction with one latency fault in force, beside that without.
pub(super) async fn measure(options: &Options, stage: &Stage) -> anyhow::Result<Option<Cost>> {
    let Some(pgbench) = &stage.servers.pgbench else {
        return Ok(None);
    };
    let params = "type = \"latency\"\nlatency = \"1ms\"\ndirection = \"downstream\"";
    let target = stage.distort("delay", &lasting("postgres", params)).await?;
    let mut used = [Vec::new(), Vec::new()];
    for round in 1..=options.rounds {
        eprintln!("cost of a latency: round {round} of {}", options.rounds);
        for (target, used) in [&stage.targets[0], &target].into_iter().zip(&mut used) {
            let before = target.family.cpu();
            let at = target.toward(pgbench.address());
            let outcome = pgbench.work(at, &["-c8", "-j2"], options.seconds)?;
            let spent = target.family.cpu().saturating_sub(before);
            used.push(spent.as_secs_f64() / outcome.units as f64 * 1e5);
        }
    }
    target.stop().await?;
    let [plain, delayed] = used.map(Spread::of);
    Ok(plain
        .zip(delayed)
        .map(|(plain, delayed)| Cost { plain, delayed }))
}
