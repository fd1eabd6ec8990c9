//! The words for mistakes of names and of the placeholders that hold them.

use crate::diag::{Diagnostic, Span};
use crate::scenario::wording::{list, meant_or};

/// A name that nothing bears.
pub(in crate::scenario) fn unknown_name<'a>(
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

/// A name that something of another kind bears.
pub(in crate::scenario) fn other_kind(unknown: Diagnostic, kind: &str, name: &str) -> Diagnostic {
    unknown.help(format!("`{name}` is a {kind}, which cannot stand here"))
}

/// A name that is given twice.
pub(in crate::scenario) fn doubled(
    second: Span,
    first: Span,
    what: &str,
    name: &str,
) -> Diagnostic {
    Diagnostic::error(
        second,
        format!("two blocks are called `{name}`"),
        "given a second time",
    )
    .related(first, "first given here")
    .help(format!("give this {what} a name of its own"))
}

/// A name that is ambiguous in an assertion.
pub(in crate::scenario) fn malformed_name(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(span, format!("`{name}` cannot be a name"), "not a name")
        .help("names are made of letters, digits, `-` and `_`")
}

/// Things that wait for each other.
pub(in crate::scenario) fn circle(span: Span, kind: &str, names: &[&str]) -> Diagnostic {
    let mut way = names.to_vec();
    way.extend(names.first());
    let does = match kind {
        "proxy" => "leads to",
        _ => "waits for",
    };
    Diagnostic::error(
        span,
        format!("the {kind} `{}` {does} itself", way[0]),
        way.join(" -> "),
    )
    .help("break the circle at one of these places")
}

/// A placeholder without a value.
pub(in crate::scenario) fn unknown_placeholder(
    span: Span,
    placeholder: &str,
    words: &[&str],
) -> Diagnostic {
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
pub(in crate::scenario) fn unknown_attribute(
    span: Span,
    placeholder: &str,
    attributes: &[&str],
) -> Diagnostic {
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

/// A placeholder without its end.
pub(in crate::scenario) fn unclosed(span: Span, error: &str) -> Diagnostic {
    Diagnostic::error(span, error, "never closed").help("write `{{name}}`")
}
