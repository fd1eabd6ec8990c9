//! The text becomes blocks: plain values beside the place of each. What a block means is decided
//! elsewhere.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::block::{Arity, BLOCKS, Block, join};
use super::{Env, env, mistake};
use crate::check::SourceMap;
use crate::diag::{Diagnostic, Source, Span};

/// The longest text, and the most blocks, that a scenario may have.
const MOST_BYTES: usize = 4 << 20;
const MOST_BLOCKS: usize = 10_000;

/// Reads the blocks of a file in their order; `None` if the text is no TOML, or too much of it.
pub(super) fn read(source: &Source, env: Env<'_>, out: &mut Vec<Diagnostic>) -> Option<Vec<Block>> {
    if source.text.len() > MOST_BYTES {
        out.push(mistake::file::too_long(MOST_BYTES));
        return None;
    }
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        out.extend(errors.iter().map(mistake::file::syntax));
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
            reader.out.push(mistake::file::unknown_block(span, &key));
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
                        _ => reader
                            .out
                            .push(mistake::file::not_a_block(place, kind, *arity)),
                    }
                }
            }
            _ => reader
                .out
                .push(mistake::file::not_a_block(span, kind, *arity)),
        }
    }
    blocks.sort_by_key(|block| block.source.block.start);
    if let Some(first) = blocks.get(MOST_BLOCKS) {
        let place = first.source.block;
        out.push(mistake::file::too_many(place, blocks.len(), MOST_BLOCKS));
        return None;
    }
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
            DeValue::Integer(number) => {
                let (digits, radix) = (number.as_str(), number.radix());
                let signed = i64::from_str_radix(digits, radix).map(Value::from);
                let number =
                    signed.or_else(|_| u64::from_str_radix(digits, radix).map(Value::from));
                number.unwrap_or_else(|_| self.number(span))
            }
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

    /// A number that cannot be read: TOML has no null for anything else.
    fn number(&mut self, span: Span) -> Value {
        self.out.push(mistake::file::number(span));
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
                self.out.push(mistake::file::environment(span, &error));
                Value::String(text.to_owned())
            }
        }
    }
}
