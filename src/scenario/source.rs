//! The text becomes blocks: plain values beside the place of each. What a block means is decided
//! elsewhere.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Env, env, mistake};
use crate::check::SourceMap;
use crate::diag::{Diagnostic, Source, Span};

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

fn lookup<'a>(values: &'a Map<String, Value>, wanted: &str) -> Option<&'a Value> {
    let mut found = None;
    for (key, value) in values {
        walk(key, value, &mut |path, value| {
            if path == wanted {
                found = Some(value);
            }
        });
    }
    found
}

/// Reads the blocks of a file in their order; `None` if the text is no TOML.
pub(super) fn read(source: &Source, env: Env<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<Block>> {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        out.extend(errors.iter().map(mistake::syntax));
        return None;
    }
    let mut reader = Reader {
        text: &source.text,
        env,
        out,
    };
    let mut blocks = Vec::new();
    for (key, value) in table.into_inner() {
        let span = Span::from(key.span());
        let key = key.into_inner();
        let Some((kind, arity)) = BLOCKS.iter().find(|(name, _)| *name == key) else {
            reader.out.push(mistake::unknown_block(span, &key));
            continue;
        };
        let place = Span::from(value.span());
        match (arity, value.into_inner()) {
            (Arity::One, DeValue::Table(table)) => blocks.push(reader.block(kind, place, table)),
            (Arity::Many, DeValue::Array(items)) => {
                for item in items {
                    let place = Span::from(item.span());
                    match item.into_inner() {
                        DeValue::Table(table) => blocks.push(reader.block(kind, place, table)),
                        _ => reader.out.push(mistake::not_a_block(place, kind, *arity)),
                    }
                }
            }
            _ => reader.out.push(mistake::not_a_block(span, kind, *arity)),
        }
    }
    blocks.sort_by_key(|block| block.source.block.start);
    Some(blocks)
}

struct Reader<'a> {
    text: &'a str,
    env: Env<'a>,
    out: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn block(&mut self, kind: &'static str, place: Span, table: DeTable<'_>) -> Block {
        let header = if BLOCKS.contains(&(kind, Arity::Many)) {
            format!("[[{kind}]]")
        } else {
            format!("[{kind}]")
        };
        let mut block = Block {
            kind,
            header,
            values: Map::new(),
            source: SourceMap {
                block: self.first_line(place),
                values: BTreeMap::new(),
            },
            keys: BTreeMap::new(),
            written: BTreeMap::new(),
        };
        block.values = self.table(&mut block, "", table);
        block
    }

    /// Only the first line of `span`: the header of a block, not all of it.
    fn first_line(&self, span: Span) -> Span {
        let text = &self.text[span.start..span.end];
        let length = text.find('\n').unwrap_or(text.len());
        Span {
            start: span.start,
            end: span.start + text[..length].trim_end().len(),
        }
    }

    fn table(&mut self, block: &mut Block, path: &str, table: DeTable<'_>) -> Map<String, Value> {
        let mut map = Map::new();
        for (key, value) in table {
            let at = join(path, key.get_ref());
            block.keys.insert(at.clone(), key.span().into());
            let value = self.value(block, &at, value);
            map.insert(key.into_inner().into_owned(), value);
        }
        map
    }

    fn value(&mut self, block: &mut Block, path: &str, value: Spanned<DeValue<'_>>) -> Value {
        let span = Span::from(value.span());
        block.source.values.insert(path.to_owned(), span);
        match value.into_inner() {
            DeValue::String(text) => self.text(block, path, span, &text),
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map_or_else(|_| self.number(span), Value::from),
            DeValue::Float(number) => number
                .as_str()
                .parse()
                .ok()
                .and_then(serde_json::Number::from_f64)
                .map_or_else(|| self.number(span), Value::Number),
            DeValue::Datetime(moment) => Value::String(moment.to_string()),
            DeValue::Array(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| self.value(block, &format!("{path}[{index}]"), item))
                .collect(),
            DeValue::Table(table) => Value::Object(self.table(block, path, table)),
        }
    }

    fn number(&mut self, span: Span) -> Value {
        self.out.push(mistake::number(span));
        Value::Null
    }

    fn text(&mut self, block: &mut Block, path: &str, span: Span, text: &str) -> Value {
        match env::fill(text, self.env) {
            Ok(filled) => {
                if filled != text {
                    block.written.insert(path.to_owned(), text.to_owned());
                }
                Value::String(filled)
            }
            Err(error) => {
                self.out.push(mistake::environment(span, &error));
                Value::String(text.to_owned())
            }
        }
    }
}
