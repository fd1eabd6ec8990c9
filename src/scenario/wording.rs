//! Turns of phrase that several mistakes share: lists, guesses, what was expected and what was
//! found.

use std::fmt::Write as _;

use serde_json::Value;

use crate::diag::did_you_mean;

/// "did you mean `x`?", or `otherwise`.
pub(super) fn meant_or<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: &str,
) -> String {
    did_you_mean(name, candidates).map_or_else(
        || otherwise.to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

/// "`a`, `b`, `c`".
pub(super) fn list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for item in items {
        let separator = if out.is_empty() { "" } else { ", " };
        write!(out, "{separator}`{item}`").expect("a String takes everything");
    }
    out
}

pub(super) fn first_paragraph(text: &str) -> String {
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    paragraph.replace('\n', " ")
}

/// The words that a schema allows, in the order in which it lists them.
pub(super) fn words(schema: &Value) -> Vec<String> {
    let own = schema.get("const").into_iter();
    let listed = schema.get("enum").and_then(Value::as_array);
    let nested = ["oneOf", "anyOf"]
        .iter()
        .find_map(|key| schema.get(key).and_then(Value::as_array));
    own.chain(listed.into_iter().flatten())
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .chain(nested.into_iter().flatten().flat_map(words))
        .collect()
}

pub(super) fn expected(schema: &Value) -> String {
    let options: Vec<String> = match (
        ["oneOf", "anyOf"]
            .iter()
            .find_map(|key| schema.get(key).and_then(Value::as_array)),
        schema.get("type"),
    ) {
        (Some(options), _) => options.iter().map(expected).collect(),
        (None, Some(Value::Array(names))) => names
            .iter()
            .filter_map(Value::as_str)
            .map(type_name)
            .collect(),
        (None, Some(Value::String(name))) => vec![type_name(name)],
        _ => vec!["another value".to_owned()],
    };
    let mut options: Vec<String> = options
        .into_iter()
        .filter(|name| !matches!(&**name, "nothing" | ""))
        .collect();
    options.dedup();
    options.join(" or ")
}

pub(super) fn type_name(name: &str) -> String {
    match name {
        "string" => "a text in quotes",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "`true` or `false`",
        "array" => "a list in `[ ]`",
        "object" => "a table in `{ }`",
        _ => "nothing",
    }
    .to_owned()
}

/// The message of a type without the names of types.
pub(super) fn in_plain_words(error: &str) -> String {
    let types = [
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        (
            "expected u32",
            "expected a whole number from 0 to 4294967295",
        ),
        ("expected u64", "expected a whole number, not below 0"),
        ("expected usize", "expected a whole number, not below 0"),
        (
            "expected a nonzero u32",
            "expected a whole number from 1 to 4294967295",
        ),
        (
            "expected a nonzero u64",
            "expected a whole number, not below 1",
        ),
    ];
    let known = types
        .iter()
        .find_map(|(name, words)| Some((error.strip_suffix(name)?, words)));
    known.map_or_else(
        || error.to_owned(),
        |(before, words)| format!("{before}{words}"),
    )
}

pub(super) fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
    }
}
