//! Stand-ins for what is missing or does not fit in a block.

use serde_json::{Map, Value};

use super::alternative;
use crate::diag::Span;
use crate::scenario::block::{Block, join};

/// Mends a block of which some places were reported.
pub(super) struct Mending<'a> {
    pub(super) block: &'a Block,
    pub(super) reported: Vec<Span>,
}

impl Mending<'_> {
    /// The value without what its schema does not know, and with stand-ins for what was reported or
    /// is missing; `None` if nothing can stand in.
    pub(super) fn mended(&self, schema: &Value, path: &str, value: &Value) -> Option<Value> {
        let known = alternative(schema, value).filter(|_| !self.is_broken(path, value));
        let Some(schema) = known else {
            return stand_in(schema);
        };
        match (value, schema.get("items")) {
            (Value::Object(map), _) => self.table(schema, path, map).map(Value::Object),
            (Value::Array(items), inner) => {
                let inner = inner.unwrap_or(&Value::Bool(true));
                let items = items.iter().enumerate();
                let items = items.filter_map(|(index, item)| {
                    self.mended(inner, &format!("{path}[{index}]"), item)
                });
                Some(items.collect())
            }
            _ => Some(value.clone()),
        }
    }

    fn table(
        &self,
        schema: &Value,
        path: &str,
        map: &Map<String, Value>,
    ) -> Option<Map<String, Value>> {
        let of = |key: &str| schema.get("properties").and_then(|known| known.get(key));
        let others = schema.get("additionalProperties");
        let mut mended = Map::new();
        for (key, value) in map {
            let inner = match (of(key), others) {
                (None, Some(Value::Bool(false))) => continue,
                (Some(inner), _) | (None, Some(inner)) => inner,
                (None, None) => &Value::Bool(true),
            };
            let value = self.mended(inner, &join(path, key), value);
            mended.extend(value.map(|value| (key.clone(), value)));
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if !mended.contains_key(key) {
                mended.insert(key.to_owned(), stand_in(of(key)?)?);
            }
        }
        Some(mended)
    }

    /// Whether a plain value, or a whole list or table, was reported or could not be read.
    fn is_broken(&self, path: &str, value: &Value) -> bool {
        let Some(span) = self.block.source.values.get(path) else {
            return value.is_null();
        };
        let holds_others = matches!(value, Value::Array(_) | Value::Object(_));
        let mut reported = self.reported.iter();
        value.is_null()
            || reported.any(|part| {
                let within = span.start <= part.start && part.end <= span.end;
                within && (!holds_others || part == span)
            })
    }
}

/// A value that the schema accepts, and the type behind it as a rule: the default, an example, a word.
fn stand_in(schema: &Value) -> Option<Value> {
    let given = ["/default", "/examples/0", "/const", "/enum/0"].into_iter();
    let mut given = given.filter_map(|at| schema.pointer(at));
    if let Some(value) = given.find(|value| !value.is_null()) {
        return Some(value.clone());
    }
    let options = ["oneOf", "anyOf"].into_iter();
    let mut options = options.filter_map(|key| schema.get(key)?.as_array());
    if let Some(options) = options.next() {
        return options.iter().find_map(stand_in);
    }
    let names = match schema.get("type")? {
        Value::Array(names) => names.iter().find_map(Value::as_str)?,
        name => name.as_str()?,
    };
    Some(match names {
        "string" => "x".into(),
        "integer" => 1.into(),
        "number" => 1.0.into(),
        "boolean" => false.into(),
        "array" => Value::Array(Vec::new()),
        "object" => {
            let required = schema.get("required").and_then(Value::as_array);
            let required = required.into_iter().flatten().filter_map(Value::as_str);
            let known = schema.get("properties");
            let stand_ins = required.map(|key| Some((key.to_owned(), stand_in(known?.get(key)?)?)));
            Value::Object(stand_ins.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
