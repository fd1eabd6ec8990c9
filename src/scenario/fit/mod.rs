//! Holds the values of a block against what is expected, and blames exactly the values that do
//! not fit: all of them at once. What is right beside them is read all the same, with stand-ins for
//! what is not, so that no mistake hides another.
//!
//! The JSON Schema finds unknown, missing and mistyped keys; what only the types know (the grammar
//! of a period, of an assertion) they refuse with its path, one after the other: each gets a stand-in
//! and the block is read again.

mod stand_in;

/// Why a type refuses a value, and which.
pub(super) type Refusal = serde_path_to_error::Error<serde_json::Error>;

use serde_json::{Map, Value};

use super::block::{Block, join};
use super::mistake;
use crate::diag::{Diagnostic, did_you_mean};

/// Makes a `T` of the block and reports every value that stands in the way. The `bool` is
/// `true` if the `T` is what the file says: otherwise there are stand-ins in it for what is missing or does not
/// fit, and only what it says besides may be looked at.
pub(super) fn fit<T>(
    block: &Block,
    values: &Map<String, Value>,
    schema: &Value,
    attempt: &dyn Fn(&Value) -> Result<T, Refusal>,
    out: &mut Vec<Diagnostic>,
) -> Option<(T, bool)> {
    let whole = Value::Object(values.clone());
    let mut found = Vec::new();
    Fitting {
        block,
        found: &mut found,
    }
    .against(schema, "", &whole);
    let made = loop {
        let places = found.iter().flat_map(|found| &found.primary);
        let mending = stand_in::Mending {
            block,
            reported: places.map(|label| label.span).collect(),
        };
        let Some(mended) = mending.mended(schema, "", &whole) else {
            break None;
        };
        match attempt(&mended) {
            Ok(made) => break Some(made),
            Err(error) => {
                let path = error.path().to_string();
                let path = if path == "." { "" } else { &path };
                let refused = mistake::refused(block, path, &error.inner().to_string());
                // A stand-in that does not fit either is no mistake of the file.
                if found
                    .iter()
                    .any(|known: &Diagnostic| known.covers(&refused))
                {
                    break None;
                }
                found.push(refused);
            }
        }
    };
    let is_whole = found.is_empty() && !is_unread(&whole);
    out.extend(found);
    Some((made?, is_whole))
}

/// Makes a `T` of `value`; an error says where in it.
pub(super) fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Refusal> {
    serde_path_to_error::deserialize(value)
}

/// A value of a plain type.
pub(super) fn shape<T: serde::de::DeserializeOwned + schemars::JsonSchema>(
    block: &Block,
    out: &mut Vec<Diagnostic>,
) -> Option<(T, bool)> {
    let schema = super::schema::known::<T>();
    fit(block, &block.values, &schema, &read, out)
}

/// The keys that all blocks of a kind have, for a block of unknown type.
pub(super) fn common<T: serde::de::DeserializeOwned + schemars::JsonSchema>(
    block: &Block,
    out: &mut Vec<Diagnostic>,
) -> Option<T> {
    let schema = super::schema::known::<T>();
    let mut values = block.values.clone();
    values.retain(|key, _| super::schema::has(&schema, key));
    values.insert("type".to_owned(), "unknown".into());
    fit(block, &values, &schema, &read, out).map(|(shape, _)| shape)
}

struct Fitting<'a> {
    block: &'a Block,
    found: &'a mut Vec<Diagnostic>,
}

impl Fitting<'_> {
    /// Reports what the schema refuses, and gives the value without the keys that it does not
    /// know: an unknown key would hide the mistakes behind it.
    fn against(&mut self, schema: &Value, path: &str, value: &Value) -> Value {
        let Some(schema) = alternative(schema, value) else {
            if !value.is_null() {
                self.found
                    .push(mistake::mistyped(self.block, path, value, schema));
            }
            return value.clone();
        };
        match (value, schema.get("items")) {
            (Value::Object(map), _) => self.keys(schema, path, map),
            (Value::Array(items), Some(inner)) => {
                let items = items.iter().enumerate();
                let known = items
                    .map(|(index, item)| self.against(inner, &format!("{path}[{index}]"), item));
                known.collect()
            }
            _ => value.clone(),
        }
    }

    fn keys(&mut self, schema: &Value, path: &str, map: &Map<String, Value>) -> Value {
        let mut kept = Map::new();
        let none = Map::new();
        let known = schema
            .get("properties")
            .and_then(Value::as_object)
            .unwrap_or(&none);
        for (key, value) in map {
            let path = join(path, key);
            let value = match (known.get(key), schema.get("additionalProperties")) {
                (None, Some(Value::Bool(false))) => {
                    let unknown = mistake::unknown_key(self.block, &path, key, known);
                    self.found.push(unknown);
                    continue;
                }
                (Some(inner), _) | (None, Some(inner @ Value::Object(_))) => {
                    self.against(inner, &path, value)
                }
                (None, _) => value.clone(),
            };
            kept.insert(key.clone(), value);
        }
        let required = schema.get("required").and_then(Value::as_array);
        let unknown = || map.keys().filter(|key| !known.contains_key(*key));
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            // A misspelt key is one mistake, not two.
            let misspelt = did_you_mean(key, unknown().map(String::as_str)).is_some();
            if !map.contains_key(key) && !misspelt {
                self.found
                    .push(mistake::missing_key(self.block, path, key, known.get(key)));
            }
        }
        Value::Object(kept)
    }
}

/// Whether a number in it could not be read: that was reported when it was not.
fn is_unread(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(is_unread),
        Value::Object(map) => map.values().any(is_unread),
        _ => false,
    }
}

/// The schema that says nothing.
static ANYTHING: Value = Value::Bool(true);

/// The part of a schema that speaks about values like this one; `None` if there is none.
fn alternative<'a>(schema: &'a Value, value: &Value) -> Option<&'a Value> {
    let union = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| schema.get(key).and_then(Value::as_array));
    match union {
        Some(options) => {
            let mut fitting = options
                .iter()
                .filter_map(|option| alternative(option, value));
            let first = fitting.next()?;
            // Several forms of the same type: which one is meant only the type itself knows.
            Some(if fitting.next().is_some() {
                &ANYTHING
            } else {
                first
            })
        }
        None => accepts(schema, value).then_some(schema),
    }
}

fn accepts(schema: &Value, value: &Value) -> bool {
    if let Some(constant) = schema.get("const") {
        return constant == value;
    }
    if let Some(Value::Array(words)) = schema.get("enum") {
        return words.contains(value);
    }
    let is = |name: &str| match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::String(name)) => is(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
