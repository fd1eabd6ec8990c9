//! Parameters as documentation lists them, from the schema of the types that read them.

use schemars::Schema;
use serde_json::Value;

use super::schema::inlined;
use super::wording::words;

/// A parameter of a kind of fault or a type of check.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its key.
    pub name: String,
    /// What may be written: words, or an example.
    pub values: String,
    /// Its default; `None` if it must be given.
    pub default: Option<Value>,
    /// A value to show in an example.
    pub example: Value,
    /// What it means.
    pub text: String,
}

/// Every parameter that `schema` describes, those that must be given first.
pub fn params(schema: Schema) -> Vec<Param> {
    let schema = inlined(schema.to_value());
    let mut params: Vec<Param> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, property)| param(name, property))
        .collect();
    params.sort_by_key(|param| param.default.is_some());
    params
}

fn param(name: &str, property: &Value) -> Param {
    let words = words(property);
    let example = property.pointer("/examples/0");
    let default = property.get("default");
    Param {
        name: name.to_owned(),
        values: match (words.as_slice(), example) {
            ([], Some(example)) => format!("such as `{example}`"),
            ([], None) => property["type"].as_str().unwrap_or("value").to_owned(),
            _ => words
                .iter()
                .map(|word| format!("`\"{word}\"`"))
                .collect::<Vec<_>>()
                .join(", "),
        },
        default: default.cloned(),
        example: default.or(example).cloned().unwrap_or_default(),
        text: property["description"]
            .as_str()
            .unwrap_or_default()
            .replace('\n', " "),
    }
}
