//! The words for every mistake that a scenario file can hold: what, where, and what to write. Those
//! for keys and values stand here, the others by what they are about.

pub(super) mod address;
pub(super) mod check;
pub(super) mod file;
pub(super) mod name;
pub(super) mod radius;
pub(super) mod schedule;
pub(super) mod stage;

use serde_json::{Map, Value};

use super::block::Block;
use super::wording::{expected, first_paragraph, found, in_plain_words, list, meant_or, words};
use crate::check::{Assertion, ParseError, Window};
use crate::diag::{Diagnostic, did_you_mean};

/// A key that must be there and is not.
pub(super) fn missing_key(
    block: &Block,
    path: &str,
    key: &str,
    schema: Option<&Value>,
) -> Diagnostic {
    let place = if path.is_empty() {
        block.header.clone()
    } else {
        format!("`{path}` of {}", block.header)
    };
    let diagnostic = Diagnostic::error(
        block.span(path),
        format!("{place} lacks `{key}`"),
        format!("`{key}` is missing"),
    );
    let text = schema.and_then(|schema| schema.get("description")?.as_str());
    match text.map(first_paragraph) {
        Some(text) => diagnostic.help(format!("`{key}`: {text}")),
        None => diagnostic,
    }
}

/// A key that the block does not have.
pub(super) fn unknown_key(
    block: &Block,
    path: &str,
    key: &str,
    known: &Map<String, Value>,
) -> Diagnostic {
    let span = block.keys.get(path).copied().unwrap_or(block.source.block);
    let place = match path
        .strip_suffix(key)
        .map(|outer| outer.trim_end_matches('.'))
    {
        None | Some("") => block.header.clone(),
        Some(outer) => format!("`{outer}` of {}", block.header),
    };
    // The schema `false` marks what is never allowed.
    let allowed = known.iter().filter(|(_, schema)| **schema != false);
    let keys = allowed.map(|(key, _)| key.as_str());
    if block.kind == "check" && matches!(path, "max_busy" | "max_lateness") {
        return check::limit(block, span, key);
    }
    Diagnostic::error(
        span,
        format!("unknown key `{key}` in {place}"),
        meant_or(key, keys.clone(), "no such key"),
    )
    .note(format!("the keys are {}", list(keys)))
}

/// Two keys that exclude each other, or of which one is needed.
pub(super) fn one_of(block: &Block, keys: &[&str], help: &str) -> Diagnostic {
    let present: Vec<&str> = keys
        .iter()
        .copied()
        .filter(|key| block.values.contains_key(*key))
        .collect();
    if let Some(misspelt) = misspelt(block, keys).filter(|_| present.is_empty()) {
        return misspelt.help(help);
    }
    let keys = list(keys.iter().copied());
    match present.as_slice() {
        [first, .., last] => Diagnostic::error(
            block.keys.get(*last).copied().unwrap_or(block.source.block),
            format!("{} takes only one of {keys}", block.header),
            format!("excludes `{first}`"),
        )
        .related(block.span(first), "given here"),
        _ => Diagnostic::error(
            block.source.block,
            format!("{} needs one of {keys}", block.header),
            "none is given",
        ),
    }
    .help(help)
}

/// A key that makes sense only beside another.
pub(super) fn lonely(block: &Block, key: &str, other: &str, help: &str) -> Diagnostic {
    Diagnostic::error(
        block.keys.get(key).copied().unwrap_or(block.source.block),
        format!("`{key}` needs `{other}` beside it"),
        format!("`{other}` is missing"),
    )
    .help(help)
}

/// A block without a type; its other keys cannot be known.
pub(super) fn no_type(block: &Block) -> Diagnostic {
    misspelt(block, &["type"]).unwrap_or_else(|| missing_key(block, "", "type", None))
}

/// A key that is probably meant to be one of `wanted`, none of which is there.
fn misspelt(block: &Block, wanted: &[&str]) -> Option<Diagnostic> {
    let mut keys = block.values.keys();
    let (key, meant) = keys.find_map(|key| {
        let meant = did_you_mean(key, wanted.iter().copied())?;
        Some((key, meant))
    })?;
    Some(Diagnostic::error(
        block.keys.get(key).copied().unwrap_or(block.source.block),
        format!("unknown key `{key}` in {}", block.header),
        format!("did you mean `{meant}`?"),
    ))
}

/// A value of the wrong type, or a word that is not among those allowed.
pub(super) fn mistyped(block: &Block, path: &str, value: &Value, schema: &Value) -> Diagnostic {
    let span = block.span(path);
    let words = words(schema);
    if let (Value::String(text), false) = (value, words.is_empty()) {
        let text = block.redact(path, text);
        let candidates = words.iter().map(String::as_str);
        return Diagnostic::error(
            span,
            format!("`{path}` cannot be `{text}`"),
            meant_or(&text, candidates.clone(), "not one of the possible words"),
        )
        .help(format!("write one of {}", list(candidates)));
    }
    let diagnostic = Diagnostic::error(
        span,
        format!("`{path}` has the wrong type"),
        format!("expected {}, found {}", expected(schema), found(value)),
    );
    match schema.pointer("/examples/0").and_then(Value::as_str) {
        Some(example) => diagnostic.help(format!(
            "quantities are texts with a unit, for example `\"{example}\"`"
        )),
        None => diagnostic,
    }
}

/// A value that its type refuses; `error` is the type's own message.
pub(super) fn refused(block: &Block, path: &str, error: &str) -> Diagnostic {
    let error = block.redact(path, error);
    if path.is_empty() {
        return Diagnostic::error(
            block.source.block,
            format!("{} cannot be used", block.header),
            error,
        );
    }
    let span = block.span(path);
    if let Some(error) = grammar(block, path, &error) {
        let inner = block.inside(path, &error.range).unwrap_or(span);
        return Diagnostic::error(inner, error.message, "").help(error.help);
    }
    let error = error.strip_prefix("invalid value: ").unwrap_or(&error);
    let error = in_plain_words(error);
    Diagnostic::error(span, format!("`{path}` cannot be used"), error)
}

/// What the grammar of assertions or windows has against the text at `path`, if that is the error.
fn grammar(block: &Block, path: &str, error: &str) -> Option<ParseError> {
    let text = block.value(path)?.as_str()?;
    [
        text.parse::<Assertion>().err(),
        text.parse::<Window>().err(),
    ]
    .into_iter()
    .flatten()
    .find(|refusal| refusal.to_string() == error)
}

/// A word that must be one of a list and is not.
pub(super) fn unknown_word<'a>(
    block: &Block,
    key: &str,
    what: &str,
    words: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let word = block.redact(key, block.text(key).unwrap_or_default());
    Diagnostic::error(
        block.span(key),
        format!("no {what} is called `{word}`"),
        meant_or(&word, words.clone(), "unknown"),
    )
    .note(format!("there is {}", list(words)))
}

/// A word that is unknown at one key and known at another.
pub(super) fn other_key(unknown: Diagnostic, what: &str, key: &str, word: &str) -> Diagnostic {
    unknown.help(format!("`{word}` is {what}: write `{key} = \"{word}\"`"))
}

/// The text at `at` if it is not the path of a request.
pub(super) fn path(block: &Block, at: &str) -> Option<Diagnostic> {
    let path = block.value(at)?.as_str()?;
    // What is filled in is encoded by then; what stands around it must be.
    let foreign =
        |c: &char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\' | '^' | '`');
    let outside = path.split("{{").filter_map(|part| part.rsplit("}}").next());
    let foreign = outside.flat_map(str::chars).find(foreign);
    let begins = path.starts_with('/') || path.starts_with("{{");
    let help = match foreign {
        _ if !begins => "begin it with `/`, as in `/health`".to_owned(),
        Some(c) => {
            let mut bytes = [0; 4];
            let bytes = c.encode_utf8(&mut bytes).as_bytes();
            let encoded =
                percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC);
            format!("write `{encoded}` for {c:?}")
        }
        None => return None,
    };
    let path = block.redact(at, path);
    let diagnostic = Diagnostic::error(
        block.span(at),
        format!("`{at}` cannot be `{path}`"),
        "not the path of a request",
    );
    Some(diagnostic.help(help))
}

/// A regular expression that is none.
pub(super) fn regex(block: &Block, path: &str, error: &regex::Error) -> Diagnostic {
    let text = error.to_string();
    let why = text.lines().last().unwrap_or_default();
    let why = why.strip_prefix("error: ").unwrap_or(why);
    Diagnostic::error(
        block.span(path),
        format!("`{path}` is not a regular expression"),
        why,
    )
    .help("a sign that stands for itself has a `\\` before it; the syntax is that of the Rust crate `regex`")
}

/// An outcome that ledgers do not know.
pub(super) fn fate_rule(block: &Block, path: &str, text: &str) -> Diagnostic {
    let words = ["2xx", "4xx", "5xx", "connect_error", "timeout", "broken"];
    Diagnostic::error(
        block.span(path),
        format!("`{}` is no outcome of a request", block.redact(path, text)),
        meant_or(text, words, "not an outcome"),
    )
    .help("write a status (`201`), a class (`2xx`), `connect_error`, `timeout` or `broken`")
}
