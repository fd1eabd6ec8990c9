//! The words for mistakes of the file as a whole: its TOML, its blocks, what it takes from the
//! environment.

use crate::diag::{Diagnostic, Span};
use crate::scenario::block::{Arity, BLOCKS};
use crate::scenario::env::EnvError;
use crate::scenario::wording::{list, meant_or};

/// The text is no TOML.
pub(in crate::scenario) fn syntax(error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or_default().into();
    let mut lines = error.message().lines();
    let message = lines.next().unwrap_or("the file is not valid TOML");
    let diagnostic = Diagnostic::error(span, format!("not valid TOML: {message}"), "here");
    if message.contains("escape") {
        return diagnostic
            .help("write a text with `\\` in single quotes, which leave it as it is: `'\\d+'`");
    }
    match lines.next() {
        Some(expected) => diagnostic.help(expected),
        None => diagnostic,
    }
}

/// A text longer than any scenario.
pub(in crate::scenario) fn too_long(most: usize) -> Diagnostic {
    Diagnostic {
        primary: None,
        ..Diagnostic::error(
            Span::default(),
            format!("the file is longer than {} MiB", most >> 20),
            "",
        )
    }
    .help("divide the experiment among several files; `chaosproxy run` takes them together")
}

/// More blocks than any scenario has.
pub(in crate::scenario) fn too_many(first: Span, count: usize, most: usize) -> Diagnostic {
    Diagnostic::error(
        first,
        format!("the file has {count} blocks, and may have {most}"),
        "one too many",
    )
    .help("divide the experiment among several files; `chaosproxy run` takes them together")
}

/// The file describes no experiment.
pub(in crate::scenario) fn no_scenario() -> Diagnostic {
    Diagnostic::error(Span::default(), "the file has no [scenario]", "begins here")
        .help("begin with `[scenario]`, a `title` and a `duration`")
}

/// A block that the format does not have.
pub(in crate::scenario) fn unknown_block(span: Span, name: &str) -> Diagnostic {
    let names = BLOCKS.iter().map(|(name, _)| *name);
    Diagnostic::error(
        span,
        format!("unknown block `{name}`"),
        meant_or(name, names.clone(), "no such block"),
    )
    .note(format!("the blocks are {}", list(names)))
}

/// A block in the wrong kind of brackets, or a plain value in its place.
pub(in crate::scenario) fn not_a_block(span: Span, kind: &str, arity: Arity) -> Diagnostic {
    let (right, why) = match arity {
        Arity::One => (format!("[{kind}]"), "there is one in a file"),
        Arity::Many => (format!("[[{kind}]]"), "there may be several in a file"),
    };
    Diagnostic::error(span, format!("`{kind}` is not a block here"), why)
        .help(format!("write the header `{right}` on a line of its own"))
}

/// A number that no parameter can take.
pub(in crate::scenario) fn number(span: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        "the number is out of range",
        "not a finite 64-bit number",
    )
}

/// A password or a token that stands in the file.
pub(in crate::scenario) fn literal_secret(span: Span, path: &str) -> Diagnostic {
    let message = format!("`{path}` holds a secret");
    Diagnostic::error(span, message, "everybody who has the file can read it")
        .warning()
        .note("what a run writes and prints has `*` in its place")
        .help("take it from the environment: `${NAME}`")
}

/// A value that cannot be filled in from the environment.
pub(in crate::scenario) fn environment(span: Span, error: &EnvError) -> Diagnostic {
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
