use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::engine::EngineHandle;
use crate::event::{Fact, Name, Recorder, Volume};
use crate::proxy::Stats;

/// Records once a second what each proxy has carried, if that has changed.
pub(super) fn watch(
    engine: EngineHandle,
    proxies: Vec<Name>,
    recorder: Recorder,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut told: BTreeMap<Name, Stats> = BTreeMap::new();
        let mut second = tokio::time::interval(Duration::from_secs(1));
        loop {
            second.tick().await;
            for name in &proxies {
                let Ok(stats) = engine.stats(name.clone()).await else {
                    return;
                };
                if told.insert(name.clone(), stats) != Some(stats) {
                    recorder.record(totals(name, &stats));
                }
            }
        }
    })
}

/// What `proxy` has carried so far.
pub(super) fn totals(proxy: &Name, stats: &Stats) -> Fact {
    Fact::ProxyTotals {
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
    }
}
