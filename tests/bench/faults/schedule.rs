//! How late the edges of a schedule are while there is much to do, or there are many to tell.

use std::time::Duration;

use serde_json::Value;

use crate::load::talk;
use crate::memory;
use crate::result::{Edges, Error};
use crate::stage::{Stage, Target};

/// On 50 connections that talk without a pause.
pub(super) async fn busy(stage: &Stage) -> anyhow::Result<Edges> {
    eprintln!("schedule: busy connections");
    let target = stage.distort("busy", &churn(100, 50)).await?;
    let at = target.toward(stage.servers.echo);
    talk::talk(at, talk::ECHO, 50, Duration::from_secs(6))?;
    edges(50, &target).await
}

/// On as many connections as descriptors allow, up to 10,000.
pub(super) async fn crowded(stage: &Stage) -> anyhow::Result<Edges> {
    let most = stage.connections.min(10_000) / 1_000 * 1_000;
    eprintln!("schedule: {most} connections");
    let target = stage.distort("crowded", &churn(20, 250)).await?;
    let held = memory::hold(stage, &target, most)?;
    // The fault comes and goes while they are opened, and at least ten times afterwards.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let edges = edges(most, &target).await;
    drop(held);
    edges
}

/// A fault that comes and goes `count` times, every `every_ms`.
fn churn(count: u32, every_ms: u32) -> String {
    let for_ms = every_ms / 2;
    format!(
        "\n[[fault]]\nname    = \"churn\"\ntype    = \"latency\"\ntarget  = \"echo\"\n\
        latency = \"1ms\"\nat      = \"0s\"\nfor     = \"{for_ms}ms\"\nevery   = \"{every_ms}ms\"\n\
        count   = {count}\n"
    )
}

/// Ends the run and reads its report.
async fn edges(connections: u64, target: &Target) -> anyhow::Result<Edges> {
    target.stop().await?;
    let report = target.report().await?;
    let occurrences = report["faults"][0]["occurrences"].as_array();
    let late = |edge: &str| {
        let edges = occurrences.into_iter().flatten();
        let late = edges.filter_map(|occurrence: &Value| occurrence[edge]["late_ms"].as_f64());
        late.map(|ms| Duration::from_secs_f64(ms.max(0.0) / 1e3))
            .collect::<Vec<_>>()
    };
    let (injected, lifted) = (late("injected"), late("lifted"));
    Ok(Edges {
        connections,
        count: injected.len() + lifted.len(),
        injected: Error::of(injected, Duration::ZERO),
        lifted: Error::of(lifted, Duration::ZERO),
    })
}
