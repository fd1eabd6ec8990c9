//! What of a scenario must not be written or printed: passwords in URLs, values of keys that are named
//! like a secret, and what variables of such a name hold.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::block::{Block, walk};
use super::{Env, mistake};
use crate::diag::Diagnostic;
use crate::event::Secrets;

/// Words in the names of variables, headers and options that hold a secret.
const WORDS: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PGPASSWORD",
    "SECRET",
    "TOKEN",
    "APIKEY",
    "AUTHORIZATION",
    "COOKIE",
    "CREDENTIAL",
    "CREDENTIALS",
];

/// The secrets of a file, and a warning for each one that stands in it.
pub(super) fn gather(blocks: &[Block], env: Env<'_>) -> (Secrets, Vec<Diagnostic>) {
    let mut secrets = Secrets::default();
    let mut warnings = Vec::new();
    for block in blocks {
        for (key, value) in &block.values {
            walk(key, value, &mut |path, value| {
                let Value::String(text) = value else { return };
                let written = block.written.get(path).unwrap_or(text);
                let found = secrets_at(path, text);
                for secret in &found {
                    secrets.add(secret);
                }
                for value in variables(written).filter_map(env) {
                    secrets.add(&value);
                }
                if found.iter().any(|secret| written.contains(&**secret)) {
                    warnings.push(mistake::file::literal_secret(block.span(path), path));
                }
            });
        }
    }
    (secrets, warnings)
}

/// Whether a URL holds a password.
pub fn holds_password(url: &str) -> bool {
    !passwords(url).is_empty()
}

fn secrets_at(path: &str, text: &str) -> Vec<String> {
    let mut found = passwords(text);
    let free = path.split('.').any(|key| matches!(key, "env" | "headers"));
    let key = path.rsplit('.').next().unwrap_or(path);
    if free && is_secret(key) && !text.contains("{{") {
        // The scheme before it (`Bearer`) is none.
        let token = text.split_once(' ').map_or(text, |(_, token)| token);
        found.push(token.to_owned());
    }
    found.retain(|secret| !secret.is_empty() && !secret.contains("{{") && !secret.starts_with('$'));
    found
}

/// The passwords of URLs and of options in a text, as written and as meant.
fn passwords(text: &str) -> Vec<String> {
    let end = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '/' | '?' | '#' | '&');
    let until_end = |rest: &str| rest.split(end).next().unwrap_or_default().to_owned();
    let of_url = |rest: &str| {
        let authority = until_end(rest);
        let (user, _) = authority.rsplit_once('@')?;
        Some(user.split_once(':')?.1.to_owned())
    };
    let urls = text.split("://").skip(1).filter_map(of_url);
    let options = text.split("password=").skip(1).map(until_end);
    let mut found: Vec<String> = urls
        .chain(options)
        .filter(|text| !text.is_empty())
        .collect();
    let meant = |text: &String| percent_decode_str(text).decode_utf8_lossy().into_owned();
    found.extend(found.iter().map(meant).collect::<Vec<_>>());
    found.dedup();
    found
}

/// The variables of a text whose names say that they hold a secret.
fn variables(written: &str) -> impl Iterator<Item = &str> {
    let inner = written.split("${").skip(1);
    let names = inner.filter_map(|rest| rest.split(['}', ':']).next());
    names.filter(|name| is_secret(name))
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase().replace('-', "_");
    name.ends_with("API_KEY") || name.split('_').any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_where_they_usually_stand() {
        for (path, text, expected) in [
            ("url", "postgres://u:p%40w@h/x", &["p%40w", "p@w"] as &[_]),
            ("url", "postgres://u@h/x?password=pw&a=b", &["pw"]),
            ("env.PGPASSWORD", "hidden", &["hidden"]),
            ("request.headers.Authorization", "Bearer abc", &["abc"]),
            ("headers.X-Api-Key", "abc", &["abc"]),
            ("env.MAX_TOKENS", "100", &[]),
            ("env.DB_PASSWORD", "{{database.a.url}}", &[]),
            ("url", "http://127.0.0.1:80/a:b@c", &[]),
        ] {
            assert_eq!(secrets_at(path, text), expected, "{path} {text}");
        }
    }
}
