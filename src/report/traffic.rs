use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use super::{ProxyRecord, ProxyWindow, SourceRecord, SourceWindow};
use crate::check::Experiment;
use crate::event::{Edge, Event, Fact, Impact, Name, Outcome, Phase, Sample, Startup};
use crate::units::Moment;

/// Percentiles of fewer observations than this say nothing.
const ENOUGH: usize = 10;

/// A named part of a run: one or more spans of time, ends excluded.
#[derive(Debug)]
pub(super) struct Window {
    name: String,
    spans: Vec<(Moment, Moment)>,
}

impl Window {
    fn one(name: &str, from: Moment, to: Moment) -> Self {
        Self {
            name: name.to_owned(),
            spans: vec![(from, to)],
        }
    }

    fn contains(&self, at: Moment) -> bool {
        self.spans
            .iter()
            .any(|(from, to)| (*from..*to).contains(&at))
    }
}

/// The windows that figures are given for: the baseline, each fault and its recovery, and all.
pub(super) fn windows(experiment: &Experiment, events: &[Event]) -> Vec<Window> {
    let phase = |wanted| {
        let entered =
            |event: &&Event| matches!(event.fact, Fact::Phase { phase } if phase == wanted);
        events.iter().find(entered).map(|event| event.at)
    };
    let start = phase(Phase::SteadyState).unwrap_or(Moment::ZERO);
    let end = phase(Phase::Settle).unwrap_or_else(|| events.last().map_or(start, |last| last.at));
    let edges: Vec<_> = events.iter().filter_map(edge).collect();
    let next_injection = |after: Moment| {
        let mut later = edges
            .iter()
            .filter(|(_, edge, at)| *edge == Edge::Inject && *at > after);
        later.next().map_or(end, |(_, _, at)| *at)
    };

    let mut windows = vec![Window::one("baseline", start, next_injection(Moment::ZERO))];
    for fault in &experiment.faults {
        let own = |wanted| {
            edges
                .iter()
                .filter(move |(name, edge, _)| **name == fault.name && *edge == wanted)
                .map(|(_, _, at)| *at)
        };
        let lifts: Vec<_> = own(Edge::Lift).collect();
        let spans = own(Edge::Inject).zip(lifts.iter().copied()).collect();
        windows.push(Window {
            name: format!("fault:{}", fault.name),
            spans,
        });
        // A fault that acts once has no lift; recovery begins with its act.
        if let Some(healed) = lifts
            .last()
            .copied()
            .or_else(|| own(Edge::Inject).next_back())
        {
            let name = format!("recovery:{}", fault.name);
            windows.push(Window::one(&name, healed, next_injection(healed)));
        }
    }
    windows.push(Window::one("all", start, end));
    windows
}

fn edge(event: &Event) -> Option<(&Name, Edge, Moment)> {
    match &event.fact {
        Fact::FaultEdge { fault, edge, .. } => Some((fault, *edge, event.at)),
        _ => None,
    }
}

/// What each source saw in each window.
pub(super) fn sources(
    experiment: &Experiment,
    events: &[Event],
    windows: &[Window],
) -> Vec<SourceRecord> {
    let mut samples: BTreeMap<&Name, Vec<&Sample>> = BTreeMap::new();
    for event in events {
        if let Fact::Sample(sample) = &event.fact {
            samples.entry(&sample.source).or_default().push(sample);
        }
    }
    experiment
        .sources
        .iter()
        .map(|(name, brief)| {
            let seen = samples.get(name).map_or(&[][..], Vec::as_slice);
            SourceRecord {
                name: name.clone(),
                service: brief.service.clone(),
                windows: windows
                    .iter()
                    .filter_map(|window| source_window(window, seen))
                    .collect(),
            }
        })
        .collect()
}

fn source_window(window: &Window, samples: &[&Sample]) -> Option<SourceWindow> {
    let samples: Vec<_> = samples
        .iter()
        .filter(|sample| window.contains(sample.intended))
        .collect();
    let count = |wanted: fn(&Outcome) -> bool| {
        let found = samples.iter().filter(|sample| wanted(&sample.outcome));
        found.count() as u64
    };
    let mut latencies: Vec<_> = samples.iter().map(|sample| sample.latency()).collect();
    latencies.sort_unstable();
    let errors = count(|outcome| !outcome.is_ok());
    (!samples.is_empty()).then(|| SourceWindow {
        window: window.name.clone(),
        requests: samples.len() as u64,
        errors,
        timeouts: count(|outcome| matches!(outcome, Outcome::Timeout)),
        error_rate: errors as f64 / samples.len() as f64,
        latency_p50_ms: percentile_ms(&latencies, 50),
        latency_p95_ms: percentile_ms(&latencies, 95),
        latency_p99_ms: percentile_ms(&latencies, 99),
        latency_max_ms: percentile_ms(&latencies, 100),
    })
}

/// Nearest rank, so that it is always a latency that was measured; `None` of too few.
fn percentile_ms(sorted: &[Duration], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    (sorted.len() >= ENOUGH).then(|| sorted[rank - 1].as_secs_f64() * 1e3)
}

/// What went through each proxy in each window.
pub(super) fn proxies(events: &[Event], windows: &[Window]) -> Vec<ProxyRecord> {
    let knocks = knocks(events);
    let mut names: Vec<_> = knocks.iter().map(|knock| knock.proxy).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| {
            let own: Vec<_> = knocks.iter().filter(|knock| knock.proxy == name).collect();
            ProxyRecord {
                name: name.clone(),
                windows: windows
                    .iter()
                    .filter_map(|window| proxy_window(window, &own))
                    .collect(),
            }
        })
        .collect()
}

/// One step of a client toward a session.
struct Knock<'a> {
    proxy: &'a Name,
    at: Moment,
    step: Step,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Refused,
    Connection,
    Attempt,
    Session,
}

/// Every step of every client; chaosproxy's own side probes are left out.
fn knocks(events: &[Event]) -> Vec<Knock<'_>> {
    let own: BTreeSet<(&Name, SocketAddr)> = events
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::SideProbe { proxy, peer } => Some((proxy, *peer)),
            _ => None,
        })
        .collect();
    let mut own_connections: BTreeSet<(&Name, u64)> = BTreeSet::new();
    let mut knocks = Vec::new();
    for event in events {
        let step = match &event.fact {
            Fact::ConnectionOpened { proxy, conn, peer } => {
                if own.contains(&(proxy, *peer)) {
                    own_connections.insert((proxy, *conn));
                }
                Some((proxy, Some(*conn), Step::Connection))
            }
            Fact::StartupPacket {
                proxy,
                conn,
                packet: Startup::Session { .. } | Startup::Tls,
            } => Some((proxy, Some(*conn), Step::Attempt)),
            Fact::SessionReady { proxy, conn } => Some((proxy, Some(*conn), Step::Session)),
            Fact::FaultHit {
                proxy,
                conn: None,
                impact: Impact::Refused,
                ..
            } => Some((proxy, None, Step::Refused)),
            _ => None,
        };
        if let Some((proxy, conn, step)) = step
            && conn.is_none_or(|conn| !own_connections.contains(&(proxy, conn)))
        {
            knocks.push(Knock {
                proxy,
                at: event.at,
                step,
            });
        }
    }
    knocks
}

fn proxy_window(window: &Window, knocks: &[&Knock<'_>]) -> Option<ProxyWindow> {
    let count = |step: Step| {
        let found = knocks
            .iter()
            .filter(|knock| knock.step == step && window.contains(knock.at));
        found.count() as u64
    };
    let connections = count(Step::Connection);
    let refused = count(Step::Refused);
    let speaks_postgres = knocks.iter().any(|knock| knock.step == Step::Attempt);
    (connections + refused > 0).then(|| ProxyWindow {
        window: window.name.clone(),
        connections,
        attempts: if speaks_postgres {
            count(Step::Attempt)
        } else {
            connections
        },
        sessions: count(Step::Session),
        refused,
    })
}
