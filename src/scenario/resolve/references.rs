//! Whoever is named must exist. What a key names is a matter of convention, the same in every
//! block, so that a new kind of check needs no code here.

use serde_json::Value;

use super::names::Names;
use crate::check::{Assertion, Window};
use crate::diag::Diagnostic;
use crate::fault::catalogue::Catalogue;
use crate::fault::{self, Subject};
use crate::scenario::block::{Block, walk};
use crate::scenario::mistake;
use crate::template::Template;

/// Reports every name that nothing bears, in keys and in placeholders.
pub(super) fn check(
    blocks: &[Block],
    names: &Names<'_>,
    catalogue: &Catalogue,
    out: &mut Vec<Diagnostic>,
) {
    for block in blocks {
        for (key, value) in &block.values {
            walk(key, value, &mut |path, value| {
                let Value::String(text) = value else { return };
                if is_free(path) {
                    return placeholders(block, path, text, names, out);
                }
                match last_key(path) {
                    "that" | "require" | "when" => assertion(block, path, text, names, out),
                    "during" => window(block, path, text, names, out),
                    "target" if block.kind == "fault" => {
                        let subject = subject(block, catalogue);
                        let kinds = subject.map_or(ANY_TARGET, Subject::blocks);
                        if !kinds.is_empty() {
                            name(block, path, text, kinds, names, out);
                        }
                    }
                    key => match named_by(block.kind, key) {
                        [] => placeholders(block, path, text, names, out),
                        kinds => name(block, path, text, kinds, names, out),
                    },
                }
            });
        }
    }
}

fn name(
    block: &Block,
    path: &str,
    name: &str,
    kinds: &[&str],
    names: &Names<'_>,
    out: &mut Vec<Diagnostic>,
) {
    if names.has(kinds, name) {
        return;
    }
    let shown = block.redact(path, name);
    // Nothing can wait for itself.
    let own = block.name().filter(|_| kinds.contains(&block.kind));
    let what = own.map_or("", |_| "other ").to_owned() + &kinds.join(" or ");
    let others = names.of(kinds).filter(|other| Some(*other) != own);
    let unknown = mistake::name::unknown_name(block.span(path), &what, &shown, others);
    out.push(match names.kind(name) {
        Some(kind) => mistake::name::other_kind(unknown, kind, &shown),
        None => unknown,
    });
}

/// An assertion that is none is refused where it is read.
fn assertion(block: &Block, path: &str, text: &str, names: &Names<'_>, out: &mut Vec<Diagnostic>) {
    if let Ok(assertion) = text.parse::<Assertion>() {
        let kinds = &["workload", "probe"];
        name(block, path, &assertion.source, kinds, names, out);
    }
}

/// A window that is none is refused where it is read.
fn window(block: &Block, path: &str, text: &str, names: &Names<'_>, out: &mut Vec<Diagnostic>) {
    if let Ok(window) = text.parse::<Window>() {
        for fault in window.faults() {
            name(block, path, fault, &["fault"], names, out);
        }
    }
}

/// What a fault of any kind may act on.
const ANY_TARGET: &[&str] = &["proxy", "service", "database"];

/// What a fault acts on; `None` if its kind is a mistake of its own.
fn subject(block: &Block, catalogue: &Catalogue) -> Option<Subject> {
    let entry = block.text("use").and_then(|name| catalogue.get(name));
    let kind = entry.map_or(block.text("type"), |entry| Some(&entry.kind));
    kind.and_then(fault::kind).map(|kind| kind.subject)
}

/// The kinds of block whose name stands at `key`.
fn named_by(block: &str, key: &str) -> &'static [&'static str] {
    match (block, key) {
        ("service", "depends_on") => &["service", "proxy", "database"],
        ("blast_radius", "allow" | "protect") => &["proxy", "service", "database"],
        (_, "proxy") => &["proxy"],
        ("fault", "after" | "with") | (_, "fault") => &["fault"],
        (_, "service") => &["service"],
        (_, "ledger") => &["ledger"],
        (_, "probe") => &["probe"],
        (_, "workload") => &["workload"],
        (_, "database") => &["database"],
        _ => &[],
    }
}

/// Below these keys the author's own words stand.
fn is_free(path: &str) -> bool {
    path.split('.')
        .any(|key| matches!(key, "json" | "env" | "headers"))
}

/// `all_of[1].probe[0]` ends in `probe`.
fn last_key(path: &str) -> &str {
    let last = path.rsplit('.').next().unwrap_or(path);
    last.split('[').next().unwrap_or(last)
}

/// Blocks in which `{{…}}` is filled in, and what is known there besides names.
fn known_words(block: &str) -> Option<&'static [&'static str]> {
    match block {
        "proxy" | "service" | "probe" | "fault" => Some(&[]),
        "workload" => Some(&["uuid", "seq", "job.id"]),
        _ => None,
    }
}

fn placeholders(
    block: &Block,
    path: &str,
    text: &str,
    names: &Names<'_>,
    out: &mut Vec<Diagnostic>,
) {
    let Some(words) = known_words(block.kind) else {
        return;
    };
    let template = match Template::parse(text) {
        Ok(template) => template,
        // Elsewhere the type of the value has already refused it.
        Err(_) if !path.split('.').any(|key| key == "json") => return,
        Err(error) => {
            let message = block.redact(path, &error.to_string());
            out.push(mistake::name::unclosed(block.span(path), &message));
            return;
        }
    };
    for placeholder in template.names().filter(|name| !words.contains(name)) {
        let span = block.span(path);
        let mut parts = placeholder.splitn(3, '.');
        let (head, name, attribute) = (parts.next(), parts.next(), parts.next());
        let attributes: &[&str] = match head {
            Some("proxy") => &["address"],
            Some("service" | "database") => &["url", "address"],
            _ => {
                out.push(mistake::name::unknown_placeholder(span, placeholder, words));
                continue;
            }
        };
        let kinds = head.as_slice();
        let name = name.unwrap_or_default();
        if !names.has(kinds, name) {
            let what = head.unwrap_or_default();
            out.push(mistake::name::unknown_name(
                span,
                what,
                name,
                names.of(kinds),
            ));
        } else if !attribute.is_some_and(|attribute| attributes.contains(&attribute)) {
            out.push(mistake::name::unknown_attribute(
                span,
                placeholder,
                attributes,
            ));
        }
    }
}
