use std::collections::{BTreeMap, HashMap, HashSet};

use crate::diag::{Diagnostic, Span};
use crate::scenario::block::Block;
use crate::scenario::mistake;

/// The names that blocks give themselves, by kind of block. A block that is wrong elsewhere still
/// has its name, so that one mistake is not reported as two.
#[derive(Debug, Default)]
pub(super) struct Names<'a> {
    /// In the order of the file.
    listed: BTreeMap<&'static str, Vec<&'a str>>,
    /// The same with their kinds, to look one up.
    known: HashSet<(&'a str, &'a str)>,
}

impl<'a> Names<'a> {
    /// Collects them; reports names that are malformed or given twice.
    pub(super) fn gather(blocks: &'a [Block], out: &mut Vec<Diagnostic>) -> Self {
        let mut names = Self::default();
        let mut seen = HashMap::<_, Span>::new();
        for block in blocks {
            let Some(name) = block.name() else { continue };
            let span = block.span("name");
            if !is_well_formed(name) {
                out.push(mistake::name::malformed_name(span, name));
            }
            match seen.get(&(scope(block.kind), name)) {
                Some(first) => out.push(mistake::name::doubled(span, *first, block.kind, name)),
                None => {
                    seen.insert((scope(block.kind), name), span);
                }
            }
            names.listed.entry(block.kind).or_default().push(name);
            names.known.insert((block.kind, name));
        }
        names
    }

    /// What is called so, of what a fault, a probe or a workload may name.
    pub(super) fn kind(&self, name: &str) -> Option<&'static str> {
        let kinds = ["proxy", "service", "database", "workload", "probe", "fault"];
        kinds.into_iter().find(|kind| self.has(&[kind], name))
    }

    /// Whether a block of one of these kinds is called so.
    pub(super) fn has(&self, kinds: &[&str], name: &str) -> bool {
        kinds.iter().any(|kind| self.known.contains(&(*kind, name)))
    }

    /// Every name of these kinds of block.
    pub(super) fn of<'k>(
        &'k self,
        kinds: &'k [&str],
    ) -> impl Iterator<Item = &'a str> + Clone + 'k {
        kinds
            .iter()
            .filter_map(|kind| self.listed.get(kind))
            .flatten()
            .copied()
    }
}

/// Assertions, windows and placeholders take a name apart at `.`, `:` and spaces.
fn is_well_formed(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}

/// Kinds of block that are named in the same places share one space of names.
fn scope(kind: &'static str) -> &'static str {
    match kind {
        "workload" | "probe" => "source",
        "service" | "proxy" | "database" => "place",
        other => other,
    }
}
