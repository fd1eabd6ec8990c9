//! Whether faults do what they promise, and what they cost.

mod bandwidth;
mod cost;
mod latency;
mod schedule;

use crate::options::Options;
use crate::result::Faults;
use crate::stage::Stage;

pub(crate) async fn measure(options: &Options, stage: &Stage) -> anyhow::Result<Faults> {
    Ok(Faults {
        delays: latency::delays(stage).await?,
        bulk_s: latency::bulk(stage).await?,
        pipelined: latency::pipelined(stage).await?,
        rates: bandwidth::rates(stage).await?,
        cost: cost::measure(options, stage).await?,
        busy: schedule::busy(stage).await?,
        crowded: schedule::crowded(stage).await?,
    })
}

/// A fault on `proxy` that is in force from the beginning.
fn lasting(proxy: &str, params: &str) -> String {
    format!(
        "\n[[fault]]\nname   = \"lasting\"\ntarget = \"{proxy}\"\nat     = \"0s\"\nfor    = \"23h\"\n{params}\n"
    )
}
