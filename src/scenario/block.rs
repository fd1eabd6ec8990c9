//! The blocks of the format, and one of them with the place of each of its values. Who reads them
//! from a text, and what they mean, is decided elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::check::SourceMap;
use crate::diag::Span;

/// How often a block may stand in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arity {
    /// `[scenario]`.
    One,
    /// `[[fault]]`.
    Many,
}

/// Every block of the format.
pub(super) const BLOCKS: &[(&str, Arity)] = &[
    ("scenario", Arity::One),
    ("database", Arity::Many),
    ("proxy", Arity::Many),
    ("service", Arity::Many),
    ("workload", Arity::Many),
    ("ledger", Arity::Many),
    ("probe", Arity::Many),
    ("steady_state", Arity::One),
    ("fault", Arity::Many),
    ("chaos", Arity::One),
    ("blast_radius", Arity::One),
    ("abort_condition", Arity::Many),
    ("limits", Arity::One),
    ("check", Arity::Many),
    ("report", Arity::One),
];

/// One block of a file.
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// What it describes (`fault`).
    pub(super) kind: &'static str,
    /// Its header as written in files (`[[fault]]`).
    pub(super) header: String,
    /// Its values, with the environment filled in.
    pub(super) values: Map<String, Value>,
    /// Where the header and each value stand, by path (`request.json.id`, `that[0]`).
    pub(super) source: SourceMap,
    /// Where each key stands, by path.
    pub(super) keys: BTreeMap<String, Span>,
    /// Values that hold something of the environment, as written, by path.
    pub(super) written: BTreeMap<String, String>,
}

impl Block {
    /// Stands for a block that the file lacks.
    pub(super) fn missing(kind: &'static str) -> Self {
        Self {
            kind,
            header: format!("[{kind}]"),
            values: Map::new(),
            source: SourceMap::default(),
            keys: BTreeMap::new(),
            written: BTreeMap::new(),
        }
    }

    /// The block's name, if it has one.
    pub(super) fn name(&self) -> Option<&str> {
        self.text("name")
    }

    /// The text at a top-level key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.values.get(key).and_then(Value::as_str)
    }

    /// The place of the value at `path`, or of the nearest thing around it.
    pub(super) fn span(&self, path: &str) -> Span {
        let mut path = path;
        loop {
            if let Some(span) = self.source.values.get(path) {
                return *span;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return self.source.block,
            }
        }
    }

    /// The value at `path`.
    pub(super) fn value(&self, path: &str) -> Option<&Value> {
        lookup(&self.values, path)
    }

    /// The place of some bytes of the text at `path`; `None` where they do not stand in the file
    /// as they are (escapes, the environment).
    pub(super) fn inside(&self, path: &str, range: &Range<usize>) -> Option<Span> {
        let span = self.source.values.get(path)?;
        let text = self.value(path)?.as_str()?;
        let verbatim = span.end - span.start == text.len() + 2 && !self.written.contains_key(path);
        verbatim.then(|| Span {
            start: span.start + 1 + range.start,
            end: span.start + 1 + range.end,
        })
    }

    /// What a person may read of `message`: a value from the environment is shown as written.
    pub(super) fn redact(&self, path: &str, message: &str) -> String {
        let filled = self.value(path).and_then(Value::as_str);
        match (filled, self.written.get(path)) {
            (Some(filled), Some(written)) if !filled.is_empty() => message.replace(filled, written),
            _ => message.to_owned(),
        }
    }
}

/// The path of `key` below `path`.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// Visits every value below `value`, the outer before the inner.
pub(super) fn walk<'a>(path: &str, value: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, value);
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                walk(&join(path, key), inner, visit);
            }
        }
        Value::Array(items) => {
            for (index, inner) in items.iter().enumerate() {
                walk(&format!("{path}[{index}]"), inner, visit);
            }
        }
        _ => {}
    }
}

/// The value at a path: a key ends at `.` or `[`, and may hold either.
fn lookup<'a>(values: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let ends = path.match_indices(['.', '[']).map(|(end, _)| end);
    ends.chain([path.len()])
        .find_map(|end| below(values.get(&path[..end])?, &path[end..]))
}

fn below<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    match value {
        _ if path.is_empty() => Some(value),
        Value::Object(map) => lookup(map, path.strip_prefix('.')?),
        Value::Array(items) => {
            let (index, path) = path.strip_prefix('[')?.split_once(']')?;
            below(items.get(index.parse::<usize>().ok()?)?, path)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_to_a_value_through_keys_with_dots_and_brackets() {
        let values = json!({"a": {"b.c": [{"d[0]": 1}, [2, 3]]}, "a.b": 4, "": 5});
        let values = values.as_object().unwrap();
        let mut paths = 0;
        for (key, value) in values {
            walk(key, value, &mut |path, value| {
                assert_eq!(lookup(values, path), Some(value), "{path}");
                paths += 1;
            });
        }
        assert_eq!(paths, 9);
        for path in ["b", "a.b.d", "a.b.c[2]", "a.b.c[x]", "a.b.c[0", "a[0]"] {
            assert_eq!(lookup(values, path), None, "{path}");
        }
    }
}
