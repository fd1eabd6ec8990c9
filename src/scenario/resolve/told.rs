//! One value, one mistake: what is said of it first. The rest follows from that, or will be said once
//! the value can be read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::diag::{Diagnostic, Severity, Span};
use crate::scenario::block::{Block, walk};

/// Leaves out what is about a value, or compares with one, of which something was said before.
pub(super) fn once(blocks: &[Block], out: &mut Vec<Diagnostic>) {
    if out.len() < 2 {
        return;
    }
    let tables = tables(blocks);
    let mut told = BTreeMap::new();
    out.retain(|found| {
        let primary = found.primary.as_ref().map(|label| label.span);
        let primary = primary.filter(|span| !tables.contains(&span.start));
        let related = found.related.iter().map(|label| label.span);
        let related = related.filter(|span| !tables.contains(&span.start));
        if primary
            .into_iter()
            .chain(related)
            .any(|place| touches(&told, place))
        {
            return false;
        }
        if let (Some(span), Severity::Error) = (primary, found.severity) {
            told.insert(span.start, span.end);
        }
        true
    });
}

/// Where blocks, and the tables and lists in them, begin: of each there may be many things to say.
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

/// Whether something told lies in this place, or around it.
fn touches(told: &BTreeMap<usize, usize>, place: Span) -> bool {
    let within = || {
        told.range(place.start..place.end.max(place.start + 1))
            .next()
    };
    let before = || told.range(..place.start).next_back();
    within().is_some() || before().is_some_and(|(_, end)| *end >= place.end)
}
