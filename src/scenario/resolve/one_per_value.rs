//! At most one diagnostic per value: the first. Later ones follow from it, or appear once the value
//! can be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::diag::{Diagnostic, Severity, Span};
use crate::scenario::block::{Block, walk};

/// Drops each diagnostic that points at a value, or compares with one, that has an error already.
pub(super) fn keep_first(blocks: &[Block], out: &mut Vec<Diagnostic>) {
    if out.len() < 2 {
        return;
    }
    let tables = tables(blocks);
    let mut reported = BTreeMap::new();
    out.retain(|found| {
        let primary = found.primary.as_ref().map(|label| label.span);
        let primary = primary.filter(|span| !tables.contains(&span.start));
        let related = found.related.iter().map(|label| label.span);
        let related = related.filter(|span| !tables.contains(&span.start));
        if primary
            .into_iter()
            .chain(related)
            .any(|place| touches(&reported, place))
        {
            return false;
        }
        if let (Some(span), Severity::Error) = (primary, found.severity) {
            reported.insert(span.start, span.end);
        }
        true
    });
}

/// Where blocks, and the tables and lists in them, begin: each may have several diagnostics.
fn tables(blocks: &[Block]) -> BTreeSet<usize> {
    let mut tables: BTreeSet<_> = blocks
        .iter()
        .map(|block| block.source.block.start)
        .collect();
    for block in blocks {
        for (key, value) in &block.values {
            walk(key, value, &mut |path, value| {
                let holds_others = matches!(value, Value::Object(_) | Value::Array(_));
                if let (true, Some(span)) = (holds_others, block.source.values.get(path)) {
                    tables.insert(span.start);
                }
            });
        }
    }
    tables
}

/// Whether a reported value lies in this place, or around it.
fn touches(reported: &BTreeMap<usize, usize>, place: Span) -> bool {
    let within = || {
        reported
            .range(place.start..place.end.max(place.start + 1))
            .next()
    };
    let before = || reported.range(..place.start).next_back();
    within().is_some() || before().is_some_and(|(_, end)| *end >= place.end)
}
