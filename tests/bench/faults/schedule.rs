//! How late the edges of a schedule are while connections are busy.

use std::time::Duration;

use crate::load::talk;
use crate::result::{Edges, Error};
use crate::stage::Stage;

/// A fault that comes and goes 100 times in 5 s.
const CHURN: &str = "
[[fault]]
name      = \"churn\"
type      = \"latency\"
target    = \"echo\"
latency   = \"1ms\"
at        = \"0s\"
for       = \"25ms\"
every     = \"50ms\"
count     = 100
";

/// 50 connections talk while a fault comes and goes.
pub(super) async fn edges(stage: &Stage) -> anyhow::Result<Edges> {
    eprintln!("schedule: 200 edges under load");
    let target = stage.distort("churn", CHURN).await?;
    let at = target.toward(stage.servers.echo);
    let busy = talk::talk(at, talk::ECHO, 50, Duration::from_secs(6))?;
    target.stop().await?;
    let report = target.report().await?;
    let occurrences = &report["faults"][0]["occurrences"];
    let occurrences = occurrences.as_array().map_or(&[][..], Vec::as_slice);
    let edges = occurrences.iter().flat_map(|occurrence| {
        let edges = [&occurrence["injected"], &occurrence["lifted"]];
        edges.map(|edge| edge["late_ms"].as_f64())
    });
    let late: Vec<Duration> = edges
        .flatten()
        .map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3))
        .collect();
    Ok(Edges {
        count: late.len(),
        late: Error::of(late, Duration::ZERO),
        transactions: busy.units,
    })
}
