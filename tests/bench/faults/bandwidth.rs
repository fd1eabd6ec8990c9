//! Rates against what was asked for.

use std::time::Duration;

use super::lasting;
use crate::load::bulk;
use crate::result::Rate;
use crate::stage::Stage;

/// As written, and in bytes per second.
const RATES: [(&str, f64); 5] = [
    ("10KB/s", 1e4),
    ("100KB/s", 1e5),
    ("1MB/s", 1e6),
    ("10MB/s", 1e7),
    ("100MB/s", 1e8),
];
/// Over which a rate is measured.
const WINDOW: Duration = Duration::from_secs(2);
const WINDOWS: usize = 2;

/// One stream for each rate.
pub(super) async fn rates(stage: &Stage) -> anyhow::Result<Vec<Rate>> {
    let source = stage.servers.source.address;
    let mut found = Vec::new();
    for (wanted, bytes) in RATES {
        eprintln!("bandwidth: {wanted}");
        let params = format!("type   = \"bandwidth\"\nrate   = \"{wanted}\"");
        let target = stage.distort("narrow", &lasting("source", &params)).await?;
        let measured = bulk::rates(target.toward(source), WINDOW, WINDOWS)?;
        target.stop().await?;
        let errors = measured.iter().map(|rate| (rate / bytes - 1.0) * 100.0);
        found.push(Rate {
            wanted,
            error_percent: errors.collect(),
        });
    }
    Ok(found)
}
