//! A string of SQL, as far as one has to read it to find its statements.

use std::ops::Range;

/// Where the first statement of a query string begins.
pub fn start(sql: &str) -> usize {
    skip_blank(sql.as_bytes(), 0)
}

/// Where the statements of a query string are, without the whitespace and comments before them and
/// the semicolons behind them. Empty statements are left out.
pub fn statements(sql: &str) -> Vec<Range<usize>> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut depth) = (skip_blank(bytes, 0), 0_usize);
    let mut from = at;
    while at < bytes.len() {
        match bytes[at] {
            b';' if depth == 0 && !is_atomic(&sql[from..at]) => {
                found.push(from..at);
                at = skip_blank(bytes, at + 1);
                from = at;
                continue;
            }
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at = skip_token(bytes, at);
    }
    found.push(from..bytes.len());
    found.retain(|range| !sql[range.clone()].trim().is_empty());
    found
}

/// The first words of a statement in upper case, as many as are asked for.
pub fn first_words(statement: &str, count: usize) -> Vec<String> {
    let (bytes, mut at) = (statement.as_bytes(), 0);
    let mut words = Vec::new();
    while words.len() < count {
        at = skip_blank(bytes, at);
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let length = bytes[at..].iter().take_while(|byte| is_word(byte)).count();
        if length == 0 {
            break;
        }
        words.push(statement[at..at + length].to_ascii_uppercase());
        at += length;
    }
    words
}

/// Whether the body of a function began, whose statements end with semicolons of their own.
fn is_atomic(statement: &str) -> bool {
    let upper = statement.to_ascii_uppercase();
    let mut words = upper.split_ascii_whitespace();
    upper.starts_with("CREATE") && words.any(|word| word == "BEGIN") && {
        words.next() == Some("ATOMIC") && !upper.trim_end().ends_with("END")
    }
}

/// Over whitespace, comments and semicolons without a statement.
fn skip_blank(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        let after = match (bytes[at], bytes.get(at + 1)) {
            (b'-', Some(b'-')) | (b'/', Some(b'*')) => skip_token(bytes, at),
            (byte, _) if byte.is_ascii_whitespace() || byte == b';' => at + 1,
            _ => return at,
        };
        at = after;
    }
    at
}

/// Over a string, a quoted name, a comment, or one byte of anything else.
fn skip_token(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let length = match rest {
        [b'\'', ..] => {
            let escapes = at > 0 && matches!(bytes[at - 1], b'E' | b'e');
            let is_prefix = at < 2 || !is_name(bytes[at - 2]);
            quoted(rest, b'\'', escapes && is_prefix)
        }
        [b'"', ..] => quoted(rest, b'"', false),
        [b'-', b'-', ..] => until(rest, b"\n", 2),
        [b'/', b'*', ..] => comment(rest),
        [b'$', ..] if at == 0 || !is_name(bytes[at - 1]) => dollar_quoted(rest),
        _ => 1,
    };
    at + length
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$') || byte >= 0x80
}

/// Up to the quote that ends it; a doubled one begins again at once.
fn quoted(rest: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' if escapes => at += 1,
            byte if byte == quote => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// Comments nest.
fn comment(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        match rest[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    rest.len()
}

fn dollar_quoted(rest: &[u8]) -> usize {
    let tag = rest[1..]
        .iter()
        .take_while(|byte| is_name(**byte) && **byte != b'$');
    let length = tag.count() + 2;
    // `$1` is a parameter.
    if rest.get(length - 1) != Some(&b'$') || rest[1].is_ascii_digit() {
        return 1;
    }
    until(rest, &rest[..length], length)
}

/// Up to and with the next `end`, which is searched for from `from` on.
fn until(rest: &[u8], end: &[u8], from: usize) -> usize {
    let found = rest[from..]
        .windows(end.len())
        .position(|window| window == end);
    found.map_or(rest.len(), |at| from + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(sql: &str) -> Vec<&str> {
        let ranges = statements(sql).into_iter();
        ranges.map(|range| &sql[range]).collect()
    }

    #[test]
    fn statements_are_found_between_their_semicolons() {
        assert_eq!(split("SELECT 1"), ["SELECT 1"]);
        assert_eq!(
            split(" a ; b;;\n -- c;\n /* d; /* e; */ f */ g; "),
            ["a ", "b", "g"]
        );
        assert_eq!(split(""), Vec::<&str>::new());
        assert_eq!(split("; -- nothing"), Vec::<&str>::new());
    }

    #[test]
    fn a_semicolon_inside_of_something_ends_no_statement() {
        for one in [
            "SELECT 'a;''b;', \"c;\"\"d\"",
            r"SELECT E'\';', 'x'",
            r"SELECT '\', 1",
            "SELECT $$a;$b$;$$, $1",
            "DO $body$ BEGIN; END; $body$",
            "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM u; DELETE FROM v)",
            "SELECT a -- ;\n, b /* ; */",
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END",
        ] {
            assert_eq!(
                split(&format!("{one};SELECT 2")),
                [one, "SELECT 2"],
                "{one}"
            );
        }
        assert_eq!(split("SELECT 'unfinished;"), ["SELECT 'unfinished;"]);
    }

    #[test]
    fn the_first_words_are_found_behind_comments() {
        assert_eq!(
            first_words("/* x */ commit -- y\n prepared 'z'", 2),
            ["COMMIT", "PREPARED"]
        );
        assert_eq!(first_words("(select 1)", 1), Vec::<String>::new());
    }
}
