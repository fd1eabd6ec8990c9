use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{
    ProxyRecord, ProxyTotals, ProxyWindow, SourceRecord, SourceWindow, SpreadRecord, held,
};
use crate::check::{History, Window};
use crate::event::{Answers, Fact, Impact, Name, Outcome, Sample, Spread};
use crate::units::{Moment, nearest_rank};

/// Percentiles of fewer observations than this say nothing.
const ENOUGH: usize = 10;

type Span = (Moment, Moment);

/// The windows that figures are given for: the baseline, each fault and its recovery, and all.
pub(super) fn windows(history: &History) -> Vec<(String, Span)> {
    Window::each(history.experiment())
        .filter_map(|window| Some((window.to_string(), window.resolve(history)?)))
        .collect()
}

/// What each source saw in each window.
pub(super) fn sources(history: &History, windows: &[(String, Span)]) -> Vec<SourceRecord> {
    let sources = history.experiment().sources.iter();
    sources
        .map(|(name, brief)| SourceRecord {
            name: name.clone(),
            service: brief.service.clone(),
            windows: windows
                .iter()
                .filter_map(|(window, span)| {
                    source_window(window, history.samples_in(name, *span), brief.timeout)
                })
                .collect(),
        })
        .collect()
}

fn source_window(window: &str, samples: &[Sample], deadline: Duration) -> Option<SourceWindow> {
    let count = |wanted: fn(&Outcome) -> bool| {
        let found = samples.iter().filter(|sample| wanted(&sample.outcome));
        found.count() as u64
    };
    let mut latencies: Vec<_> = samples
        .iter()
        .filter_map(|sample| sample.counted_latency(Answers::Good, deadline))
        .collect();
    latencies.sort_unstable();
    let errors = count(|outcome| !outcome.is_ok());
    (!samples.is_empty()).then(|| SourceWindow {
        window: window.to_owned(),
        requests: samples.len() as u64,
        errors,
        timeouts: count(|outcome| !outcome.is_answer()),
        error_rate: errors as f64 / samples.len() as f64,
        latency_p50_ms: percentile_ms(&latencies, 0.5),
        latency_p95_ms: percentile_ms(&latencies, 0.95),
        latency_p99_ms: percentile_ms(&latencies, 0.99),
        latency_max_ms: percentile_ms(&latencies, 1.0),
    })
}

/// `None` of too few.
fn percentile_ms(sorted: &[Duration], share: f64) -> Option<f64> {
    (sorted.len() >= ENOUGH).then(|| quantile_ms(sorted, share))
}

/// By nearest rank, so that it is always the latency of an observation. `sorted` must not be empty.
pub(super) fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    sorted[nearest_rank(sorted.len(), share) - 1].as_secs_f64() * 1e3
}

/// What went through each proxy in each window; seconds count from `origin`.
pub(super) fn proxies(
    history: &History,
    windows: &[(String, Span)],
    origin: Moment,
) -> Vec<ProxyRecord> {
    let touched = |fact| match fact {
        &Fact::ConnectionOpened { ref proxy, .. } | &Fact::FaultHit { ref proxy, .. } => {
            Some(proxy)
        }
        _ => None,
    };
    let events = history.events().iter();
    let names: BTreeSet<&Name> = events.filter_map(|event| touched(&event.fact)).collect();
    names
        .into_iter()
        .map(|name| ProxyRecord {
            name: name.clone(),
            windows: windows
                .iter()
                .filter_map(|(window, span)| proxy_window(window, *span, name, history))
                .collect(),
            totals: totals(name, history),
            closed: closed(name, history),
            held: held::records(name, history, origin),
        })
        .collect()
}

fn totals(name: &Name, history: &History) -> Option<ProxyTotals> {
    let events = history.events().iter().rev();
    let mut found = events.filter_map(|event| match &event.fact {
        Fact::ProxyTotals(totals) if totals.proxy == *name => Some(ProxyTotals {
            bytes_upstream: totals.upstream.bytes,
            bytes_downstream: totals.downstream.bytes,
            chunks_upstream: totals.upstream.chunks,
            chunks_downstream: totals.downstream.chunks,
            own: totals.own.as_ref().map(spread_record),
            injected: totals.injected.as_ref().map(spread_record),
            late: totals.late.as_ref().map(spread_record),
        }),
        _ => None,
    });
    found.next()
}

fn spread_record(spread: &Spread) -> SpreadRecord {
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    SpreadRecord {
        samples: spread.samples,
        p50_ms: ms(spread.p50),
        p99_ms: ms(spread.p99),
        max_ms: ms(spread.max),
    }
}

/// How often connections ended, by who ended them.
fn closed(name: &Name, history: &History) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for event in history.events() {
        if let Fact::ConnectionClosed { proxy, cause, .. } = &event.fact
            && proxy == name
        {
            *counts.entry(held::ended_by(cause)).or_default() += 1;
        }
    }
    counts
}

fn proxy_window(
    window: &str,
    (from, to): Span,
    proxy: &Name,
    history: &History,
) -> Option<ProxyWindow> {
    let inside: Vec<_> = history
        .connections(proxy)
        .iter()
        .filter(|connection| (from..to).contains(&connection.opened))
        .collect();
    let connections = inside.len() as u64;
    let sessions = inside.iter().filter(|one| one.ready.is_some());
    let refused = history
        .occurrences()
        .flat_map(|(_, occurrence)| &occurrence.hits)
        .filter(|hit| hit.proxy == *proxy && (from..to).contains(&hit.at))
        .filter(|hit| hit.impact == Impact::Refused && hit.conn.is_none())
        .count() as u64;
    let attempts = history.attempts(proxy).iter();
    let attempts = attempts.filter(|attempt| (from..to).contains(&attempt.start));
    (connections + refused > 0).then(|| ProxyWindow {
        window: window.to_owned(),
        connections,
        attempts: attempts.count() as u64,
        sessions: sessions.count() as u64,
        refused,
    })
}
