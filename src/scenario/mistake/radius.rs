//! The words for what lies outside the blast radius.

use crate::diag::{Diagnostic, Span};
use crate::scenario::block::Block;
use crate::units::Period;

/// A fault on something that must not be hit.
pub(in crate::scenario) fn protected(span: Span, proxy: &str, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault acts on the protected proxy `{proxy}`"),
        "outside the blast radius",
    )
    .help("choose another target, or take the proxy out of `protect`");
    with_place(diagnostic, place, "protected here")
}

/// A fault on something that is not on the list.
pub(in crate::scenario) fn not_allowed(span: Span, proxy: &str, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault acts on `{proxy}`, which is not allowed"),
        "outside the blast radius",
    )
    .help("choose another target, or add the proxy to `allow`");
    with_place(diagnostic, place, "these are allowed")
}

/// A fault beyond the longest time.
pub(in crate::scenario) fn too_long(span: Span, limit: Period, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault is in force for longer than {limit}"),
        "outside the blast radius",
    )
    .help("shorten it, or raise `max_fault_time`");
    with_place(diagnostic, place, "the limit")
}

/// Too many faults at once.
pub(in crate::scenario) fn crowded(
    span: Span,
    active: i64,
    at: Period,
    place: Option<Span>,
) -> Diagnostic {
    let message = match active {
        1 => format!("a fault is in force at {at}"),
        _ => format!("{active} faults are in force together at {at}"),
    };
    let diagnostic = Diagnostic::error(span, message, "one too many")
        .help("move the fault, or raise `max_active_faults`");
    with_place(diagnostic, place, "the limit")
}

/// An address of another machine.
pub(in crate::scenario) fn not_loopback(block: &Block, key: &str) -> Diagnostic {
    Diagnostic::error(
        block.span(key),
        format!("`{key}` leads away from this machine"),
        "not a loopback address",
    )
    .help("use 127.0.0.1, or set `loopback_only = false` in [blast_radius]")
}

fn with_place(diagnostic: Diagnostic, place: Option<Span>, text: &str) -> Diagnostic {
    match place {
        Some(place) => diagnostic.related(place, text),
        None => diagnostic,
    }
}
