//! The words for every mistake that a scenario file can hold: what, where, and what to write.

mod schedule;

pub(super) use schedule::{
    drawn, endless, from_nowhere, never_drawn, not_movable, other_quantity, overlapping,
    own_length, waits_for_chance,
};

use serde_json::{Map, Value};

use super::block::{Arity, BLOCKS, Block};
use super::env::EnvError;
use super::wording::{expected, first_paragraph, found, in_plain_words, list, meant_or, words};
use crate::check::{Assertion, Lint, ParseError, Window};
use crate::diag::{Diagnostic, Severity, Span, did_you_mean};
use crate::units::Period;

/// The text is no TOML.
pub(super) fn syntax(error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or_default().into();
    let mut lines = error.message().lines();
    let message = lines.next().unwrap_or("the file is not valid TOML");
    let diagnostic = Diagnostic::error(span, format!("not valid TOML: {message}"), "here");
    match lines.next() {
        Some(expected) => diagnostic.help(expected),
        None => diagnostic,
    }
}

/// A file that was to be judged by and demands nothing.
pub(super) fn no_check() -> Diagnostic {
    Diagnostic {
        primary: None,
        ..Diagnostic::error(Span::default(), "the file has no [[check]]", "")
    }
    .help("name a file with at least one check to judge the run by")
}

/// A scenario that demands nothing: whatever happens, its run passes.
pub(super) fn nothing_judged(head: &Block) -> Diagnostic {
    Diagnostic::error(
        head.source.block,
        "the scenario has no [[check]]: nothing is judged",
        "passes whatever happens",
    )
    .warning()
    .help("add a [[check]]; or record the run with `--record` and judge it afterwards")
}

/// A check whose query the recorded run did not ask.
pub(super) fn unasked(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.source.block,
        "the run did not ask this check's query",
        "its answer is not in the journal",
    )
    .help(
        "queries are asked while the run goes on: the recorded scenario must have had a check of \
         this name with the same query",
    )
}

/// A block that the format does not have.
pub(super) fn unknown_block(span: Span, name: &str) -> Diagnostic {
    let names = BLOCKS.iter().map(|(name, _)| *name);
    Diagnostic::error(
        span,
        format!("unknown block `{name}`"),
        meant_or(name, names.clone(), "no such block"),
    )
    .note(format!("the blocks are {}", list(names)))
}

/// A block in the wrong kind of brackets, or a plain value in its place.
pub(super) fn not_a_block(span: Span, kind: &str, arity: Arity) -> Diagnostic {
    let (right, why) = match arity {
        Arity::One => (format!("[{kind}]"), "there is one in a file"),
        Arity::Many => (format!("[[{kind}]]"), "there may be several in a file"),
    };
    Diagnostic::error(span, format!("`{kind}` is not a block here"), why)
        .help(format!("write the header `{right}` on a line of its own"))
}

/// A number that no parameter can take.
pub(super) fn number(span: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        "the number is out of range",
        "not a finite 64-bit number",
    )
}

/// A value that cannot be filled in from the environment.
pub(super) fn environment(span: Span, error: &EnvError) -> Diagnostic {
    let help = match error {
        EnvError::Missing(name) => {
            format!("set `{name}`, or give a default: `${{{name}:-default}}`")
        }
        EnvError::Name(_) | EnvError::Unclosed => {
            "write `${NAME}` or `${NAME:-default}`; `$${` stands for a literal `${`".to_owned()
        }
    };
    Diagnostic::error(span, error.to_string(), "needed here").help(help)
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
    Diagnostic::error(
        span,
        format!("unknown key `{key}` in {place}"),
        meant_or(key, keys.clone(), "no such key"),
    )
    .note(format!("the keys are {}", list(keys)))
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

/// The text at `at` if it is not the path of a request.
pub(super) fn path(block: &Block, at: &str) -> Option<Diagnostic> {
    let path = block.value(at)?.as_str()?;
    if path.starts_with('/') || path.starts_with("{{") {
        return None;
    }
    let path = block.redact(at, path);
    let diagnostic = Diagnostic::error(
        block.span(at),
        format!("`{at}` cannot be `{path}`"),
        "not the path of a request",
    );
    Some(diagnostic.help("begin it with `/`, as in `/health`"))
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

/// A name that nothing bears.
pub(super) fn unknown_name<'a>(
    span: Span,
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("no {what} is called `{name}`"),
        meant_or(name, names.clone(), "unknown name"),
    );
    if names.clone().next().is_none() {
        diagnostic.note(format!("the file has no {what}"))
    } else {
        diagnostic.note(format!("there is {}", list(names)))
    }
}

/// A name that is given twice.
pub(super) fn doubled(second: Span, first: Span, what: &str, name: &str) -> Diagnostic {
    Diagnostic::error(
        second,
        format!("two blocks are called `{name}`"),
        "given a second time",
    )
    .related(first, "first given here")
    .help(format!("give this {what} a name of its own"))
}

/// The file describes no experiment.
pub(super) fn no_scenario() -> Diagnostic {
    Diagnostic::error(Span::default(), "the file has no [scenario]", "begins here")
        .help("begin with `[scenario]`, a `title` and a `duration`")
}

/// A name that could not be told apart in an assertion.
pub(super) fn malformed_name(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(span, format!("`{name}` cannot be a name"), "not a name")
        .help("names are made of letters, digits, `-` and `_`")
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

/// A placeholder without its end.
pub(super) fn unclosed(span: Span, error: &str) -> Diagnostic {
    Diagnostic::error(span, error, "never closed").help("write `{{name}}`")
}

/// A placeholder that nobody fills in.
pub(super) fn unknown_placeholder(span: Span, placeholder: &str, words: &[&str]) -> Diagnostic {
    let head = placeholder.split('.').next().unwrap_or_default();
    let heads = ["proxy", "service", "database"];
    Diagnostic::error(
        span,
        format!("`{{{{{placeholder}}}}}` stands for nothing here"),
        meant_or(
            head,
            heads.iter().chain(words).copied(),
            "unknown placeholder",
        ),
    )
    .help(format!(
        "known here are {}",
        list(
            [
                "{{proxy.NAME.address}}",
                "{{service.NAME.url}}",
                "{{service.NAME.address}}",
                "{{database.NAME.url}}",
                "{{database.NAME.address}}",
            ]
            .into_iter()
            .map(str::to_owned)
            .chain(words.iter().map(|word| format!("{{{{{word}}}}}")))
            .collect::<Vec<_>>()
            .iter()
            .map(String::as_str)
        )
    ))
}

/// A placeholder that asks for something that its block does not have.
pub(super) fn unknown_attribute(span: Span, placeholder: &str, attributes: &[&str]) -> Diagnostic {
    let base = placeholder
        .splitn(3, '.')
        .take(2)
        .collect::<Vec<_>>()
        .join(".");
    let known: Vec<_> = attributes
        .iter()
        .map(|attribute| format!("{{{{{base}.{attribute}}}}}"))
        .collect();
    Diagnostic::error(
        span,
        format!("`{{{{{placeholder}}}}}` stands for nothing"),
        "unknown placeholder",
    )
    .help(format!("write {}", list(known.iter().map(String::as_str))))
}

/// Things that wait for each other.
pub(super) fn circle(span: Span, kind: &str, names: &[&str]) -> Diagnostic {
    let mut way = names.to_vec();
    way.extend(names.first());
    Diagnostic::error(
        span,
        format!("the {kind} `{}` waits for itself", way[0]),
        way.join(" -> "),
    )
    .help("break the circle at one of these places")
}

/// A text that is no address.
pub(super) fn address(block: &Block, key: &str, example: &str) -> Diagnostic {
    let text = block.redact(key, block.text(key).unwrap_or_default());
    Diagnostic::error(
        block.span(key),
        format!("`{key}` cannot be `{text}`"),
        "not an address with a port",
    )
    .help(format!("write an address such as `{example}`"))
}

/// Port 0 for a server that is not started here.
pub(super) fn port_zero(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.span("url"),
        "port 0 takes a free port only for a server that chaosproxy starts",
        "where does the server listen?",
    )
    .help("write the port of the running server, or the `command` that starts it")
}

/// The output of a process that somebody else started.
pub(super) fn log_of_attached(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.span("log"),
        "the output of a server can be read only if chaosproxy starts it",
        "there is no `command`",
    )
    .help("write `log = { file = \"…\" }`, or give the `command`")
}

/// A start or an end of something that chaosproxy does not start; `block` describes it.
pub(super) fn not_ours(span: Span, block: &Block) -> Diagnostic {
    let name = block.name().unwrap_or_default();
    let help = match block.kind {
        "database" => "write `managed = true` for a server that chaosproxy starts",
        _ => "give it a `command`, so that chaosproxy starts it",
    };
    Diagnostic::error(
        span,
        format!("chaosproxy can start and end only what is its own; `{name}` is not"),
        "started by somebody else",
    )
    .related(block.source.block, "described here")
    .help(help)
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
    .help("write it in single quotes, so that `\\` needs no doubling")
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

/// A fault on something that must not be hit.
pub(super) fn protected(span: Span, proxy: &str, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault acts on the protected proxy `{proxy}`"),
        "outside the blast radius",
    )
    .help("choose another target, or take the proxy out of `protect`");
    with_place(diagnostic, place, "protected here")
}

/// A fault on something that is not on the list.
pub(super) fn not_allowed(span: Span, proxy: &str, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault acts on `{proxy}`, which is not allowed"),
        "outside the blast radius",
    )
    .help("choose another target, or add the proxy to `allow`");
    with_place(diagnostic, place, "these are allowed")
}

/// A fault beyond the longest time.
pub(super) fn too_long(span: Span, limit: Period, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("the fault is in force for longer than {limit}"),
        "outside the blast radius",
    )
    .help("shorten it, or raise `max_fault_time`");
    with_place(diagnostic, place, "the limit")
}

/// Too many faults at once.
pub(super) fn crowded(span: Span, active: i64, at: Period, place: Option<Span>) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        span,
        format!("{active} faults are in force together at {at}"),
        "one too many",
    )
    .help("move the fault, or raise `max_active_faults`");
    with_place(diagnostic, place, "the limit")
}

/// A fault that ends after the schedule.
pub(super) fn late(span: Span, end: Period, duration: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        "the fault ends after the schedule",
        format!("ends {end} after time zero"),
    )
    .related(duration, "the schedule ends here")
    .help("begin it earlier, shorten it, or lengthen `duration`")
}

/// An address of another machine.
pub(super) fn not_loopback(block: &Block, key: &str) -> Diagnostic {
    Diagnostic::error(
        block.span(key),
        format!("`{key}` leads away from this machine"),
        "not a loopback address",
    )
    .help("use 127.0.0.1, or set `loopback_only = false` in [blast_radius]")
}

/// A check that cannot show what it is there for.
pub(super) fn lint(block: &Block, lint: &Lint) -> Diagnostic {
    let found =
        Diagnostic::error(block.span(&lint.key), &lint.message, &lint.label).help(&lint.help);
    match lint.severity {
        Severity::Error => found,
        Severity::Warning => found.warning(),
    }
}

fn with_place(diagnostic: Diagnostic, place: Option<Span>, text: &str) -> Diagnostic {
    match place {
        Some(place) => diagnostic.related(place, text),
        None => diagnostic,
    }
}
