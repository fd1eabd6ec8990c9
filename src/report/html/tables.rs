use maud::{Markup, html};

use super::bands::short;
use super::{badge, line, seconds};
use crate::event::{Gate, Impact};
use crate::report::text::bytes;
use crate::report::{CheckVerdict, EdgeRecord, FaultRecord, OccurrenceRecord, Report};

/// Times that a fault was in force which are listed at most.
const MOST_OCCURRENCES: usize = 50;

/// What each fault did.
pub(super) fn faults(report: &Report) -> Markup {
    let heads = ["", "fault", "from", "to", "touched"];
    html! { @if !report.faults.is_empty() { (table(&heads, &html! {
        @for (index, fault) in report.faults.iter().enumerate() {
            @if fault.occurrences.is_empty() {
                tr { (named(index, fault)) td colspan="3" { "never injected" } }
            }
            @for (count, one) in fault.occurrences.iter().take(MOST_OCCURRENCES).enumerate() {
                tr {
                    @if count == 0 { (named(index, fault)) } @else { td {} td {} }
                    td { (edge(&one.injected)) }
                    td { @match &one.lifted { Some(lifted) => (edge(lifted)), None => "–" } }
                    td { (touched(one)) }
                }
            }
            @if fault.occurrences.len() > MOST_OCCURRENCES {
                tr { td {} td colspan="4" {
                    (fault.occurrences.len() - MOST_OCCURRENCES) " more are in report.json"
                } }
            }
        }
    })) } }
}

/// What came of each length of the swept faults.
pub(super) fn sweeps(report: &Report) -> Markup {
    let heads = [
        "fault",
        "length",
        "detected",
        "recovered",
        "worst case",
        "verdict",
        "not passed",
    ];
    html! { @if !report.sweeps.is_empty() {
        (table(&heads, &html! {
            @for sweep in &report.sweeps {
                @for (count, one) in sweep.lengths.iter().enumerate() {
                    tr {
                        @if count == 0 {
                            th scope="rowgroup" rowspan=(sweep.lengths.len()) { (sweep.fault) }
                        }
                        td .figure { (one.length) }
                        (took(one.detection_s)) (took(one.recovery_s)) (took(one.worst_case_s))
                        td { @if let Some(verdict) = one.verdict { (badge(verdict)) } @else { "–" } }
                        td { (one.not_passed.join(", ")) }
                    }
                }
            }
        }))
        p .quiet {
            "Worst case: the longest wait of the client's backoff that can straddle the end of such "
            "an outage, and the longest attempt that was seen."
        }
    } }
}

fn took(figure: Option<f64>) -> Markup {
    let text = figure.map_or_else(|| "–".to_owned(), seconds);
    html! { td .figure { (text) } }
}

fn named(index: usize, fault: &FaultRecord) -> Markup {
    html! {
        td { (short(index)) }
        th scope="row" {
            (fault.name)
            div .quiet { (fault.kind) " on " (fault.proxy) }
            @if let Some(params) = fault.params.as_object() {
                @for (key, value) in params { div .quiet { code { (key) " = " (value.to_string()) } } }
            }
            @for (key, value) in &fault.ramp {
                div .quiet { code { (key) } " moving to " code { (value.to_string()) } }
            }
        }
    }
}

fn edge(edge: &EdgeRecord) -> Markup {
    html! { (seconds(edge.actual_s)) div .quiet { (format!("{:+.1} ms", edge.late_ms)) } }
}

/// `5 ended, 6 refused`.
fn touched(occurrence: &OccurrenceRecord) -> String {
    let victims = occurrence.victims.iter();
    let victims: Vec<_> = victims
        .map(|(impact, count)| format!("{count} {}", felt(*impact)))
        .collect();
    if victims.is_empty() {
        "nobody".to_owned()
    } else {
        victims.join(", ")
    }
}

const fn felt(impact: Impact) -> &'static str {
    match impact {
        Impact::Withheld => "held back",
        Impact::Delayed => "delayed",
        Impact::Altered => "altered",
        Impact::Answered => "answered",
        Impact::Closed => "ended",
        Impact::Refused => "refused",
    }
}

/// The figures of each workload and probe in each window.
pub(super) fn traffic(report: &Report) -> Markup {
    let heads = [
        "source",
        "window",
        "requests",
        "errors",
        "unanswered",
        "p50",
        "p95",
        "p99",
        "longest",
    ];
    html! { @if !report.sources.is_empty() { (table(&heads, &html! {
        @for source in &report.sources {
            @for (count, window) in source.windows.iter().enumerate() {
                tr {
                    @if count == 0 { th scope="rowgroup" rowspan=(source.windows.len()) {
                        (source.name) div .quiet { "to " (source.service) }
                    } }
                    td { (window.window) }
                    td .figure { (window.requests) }
                    td .figure .some[window.errors > 0] { (format!("{:.1} %", window.error_rate * 100.0)) }
                    td .figure { (window.timeouts) }
                    (latency(window.latency_p50_ms)) (latency(window.latency_p95_ms))
                    (latency(window.latency_p99_ms)) (latency(window.latency_max_ms))
                }
            }
        }
    })) } }
}

fn latency(figure: Option<f64>) -> Markup {
    let text = figure.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.1} ms"));
    html! { td .figure { (text) } }
}

/// What went through each proxy in each window.
pub(super) fn connections(report: &Report) -> Markup {
    let heads = [
        "proxy", "window", "accepted", "attempts", "sessions", "refused",
    ];
    html! { @if !report.proxies.is_empty() { (table(&heads, &html! {
        @for proxy in &report.proxies {
            @for (count, window) in proxy.windows.iter().enumerate() {
                tr {
                    @if count == 0 { th scope="rowgroup" rowspan=(proxy.windows.len()) { (proxy.name) } }
                    td { (window.window) }
                    td .figure { (window.connections) }
                    td .figure { (window.attempts) }
                    td .figure { (window.sessions) }
                    td .figure { (window.refused) }
                }
            }
        }
    })) } }
}

/// The connections that faults hurt most.
pub(super) fn held(report: &Report) -> Markup {
    let heads = [
        "proxy", "client", "held", "hit by", "from", "to", "ended by", "up", "down",
    ];
    let hurt = report.proxies.iter().filter(|proxy| !proxy.held.is_empty());
    let hurt: Vec<_> = hurt.collect();
    html! { @if !hurt.is_empty() { (table(&heads, &html! {
        @for proxy in hurt {
            @for (count, one) in proxy.held.iter().enumerate() {
                tr {
                    @if count == 0 { th scope="rowgroup" rowspan=(proxy.held.len()) { (proxy.name) } }
                    td { (one.client) div .quiet { "connection " (one.conn) } }
                    td .figure { (format!("{:.2} s", one.held_s)) }
                    td { (one.faults.join(", ")) }
                    td .figure { (seconds(one.opened_s)) }
                    td .figure { (seconds(one.closed_s)) }
                    td { (one.closed) }
                    td .figure { (bytes(one.bytes_upstream)) }
                    td .figure { (bytes(one.bytes_downstream)) }
                }
            }
        }
    })) } }
}

/// Each judgement of the steady state, the last one at each gate: earlier ones were retried.
pub(super) fn steady_state(report: &Report) -> Markup {
    let gates = [
        (Gate::Before, "before the faults"),
        (Gate::After, "after the faults"),
    ];
    let judged = gates.iter().filter_map(|(gate, words)| {
        let last = report.steady_state.iter().rfind(|one| one.gate == *gate)?;
        (!last.conditions.is_empty()).then_some((last, words))
    });
    let judged: Vec<_> = judged.collect();
    let heads = ["when", "condition", "measured", ""];
    html! { @if !judged.is_empty() { (table(&heads, &html! {
        @for (judgement, words) in judged {
            @for (count, one) in judgement.conditions.iter().enumerate() {
                tr {
                    @if count == 0 { th scope="rowgroup" rowspan=(judgement.conditions.len()) {
                        (words) div .quiet { (seconds(judgement.at_s)) }
                    } }
                    td {
                        (one.condition)
                        @if let Some(place) = one.place { div .quiet { (line(place.line)) } }
                    }
                    td { (one.measured) @for reason in &one.reasons { br; (reason.to_string()) } }
                    td { (badge(if one.met { CheckVerdict::Pass } else { CheckVerdict::Fail })) }
                }
            }
        }
    })) } }
}

/// A table that scrolls by itself where it is wider than the screen.
fn table(heads: &[&str], rows: &Markup) -> Markup {
    html! {
        div .scroll {
            table {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody { (rows) }
            }
        }
    }
}
