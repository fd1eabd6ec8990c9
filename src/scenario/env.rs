//! `${VAR}` and `${VAR:-default}` inside values. The environment is handed in, never read here.

use super::Env;

/// Why a value cannot be filled in from the environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum EnvError {
    /// The variable is not set and there is no default.
    #[error("the environment variable `{0}` is not set")]
    Missing(String),
    /// No name of a variable stands between the braces.
    #[error("`${{{0}}}` does not name an environment variable")]
    Name(String),
    /// The closing brace is missing.
    #[error("`${{` without a closing `}}`")]
    Unclosed,
}

/// Fills in every `${VAR}` of `text`; `$${` gives a literal `${`.
pub(super) fn fill(text: &str, env: Env<'_>) -> Result<String, EnvError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find("${") {
        if let Some(before) = rest[..open].strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &rest[open + 2..];
            continue;
        }
        let close = rest[open..].find('}').ok_or(EnvError::Unclosed)? + open;
        out.push_str(&rest[..open]);
        out.push_str(&variable(&rest[open + 2..close], env)?);
        rest = &rest[close + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The value of `NAME` or `NAME:-default`.
fn variable(inner: &str, env: Env<'_>) -> Result<String, EnvError> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !well_formed {
        return Err(EnvError::Name(name.to_owned()));
    }
    env(name)
        .filter(|value| !value.is_empty() || default.is_none())
        .or_else(|| default.map(str::to_owned))
        .ok_or_else(|| EnvError::Missing(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, EnvError>) {
        let env = |name: &str| match name {
            "PORT" => Some("6020".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(fill(text, &env), expected.map(str::to_owned), "{text}");
    }

    #[test]
    fn variables_are_filled_in_with_their_defaults() {
        check("127.0.0.1:${PORT}", Ok("127.0.0.1:6020"));
        check("${PORT:-1}/${HOST:-localhost}!", Ok("6020/localhost!"));
        check("${EMPTY:-full}${EMPTY}", Ok("full"));
        check("no $variable and $${PORT}", Ok("no $variable and ${PORT}"));
    }

    #[test]
    fn what_cannot_be_filled_in_is_said_exactly() {
        check("${NOBODY}", Err(EnvError::Missing("NOBODY".to_owned())));
        check("${a b}", Err(EnvError::Name("a b".to_owned())));
        check("x ${PORT", Err(EnvError::Unclosed));
    }
}
