use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::engine::{EngineError, EngineHandle};
use crate::event::{Fact, Name, Recorder, Totals, Volume};

/// Connections of a proxy that are told of at a time: as many as a person takes in.
const CONNECTIONS: usize = 5;

/// Records once a second what each proxy has carried, if that has changed, and which of its
/// connections are worth a look.
pub(super) fn watch(
    engine: EngineHandle,
    proxies: Vec<Name>,
    recorder: Recorder,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut told: BTreeMap<Name, Totals> = BTreeMap::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            for name in &proxies {
                let Ok(totals) = totals(&engine, name).await else {
                    return;
                };
                if told.get(name) != Some(&totals) {
                    recorder.record(Fact::ProxyTotals(Box::new(totals.clone())));
                    told.insert(name.clone(), totals);
                }
            }
        }
    })
}

/// What `proxy` has carried so far. A connection that rests is nothing to tell of.
pub(super) async fn totals(engine: &EngineHandle, proxy: &Name) -> Result<Totals, EngineError> {
    let stats = engine.stats(proxy.clone()).await?;
    let mut connections = engine.connections(proxy.clone(), CONNECTIONS).await?;
    connections.retain(|one| one.moved > 0 || one.waits.is_some());
    Ok(Totals {
        proxy: proxy.clone(),
        upstream: Volume {
            bytes: stats.bytes_upstream,
            chunks: stats.chunks_upstream,
        },
        downstream: Volume {
            bytes: stats.bytes_downstream,
            chunks: stats.chunks_downstream,
        },
        own: stats.own,
        injected: stats.injected,
        late: stats.late,
        connections,
    })
}
