//! What the bytes of a log are: plain lines, or entries of the journal of systemd.

use serde_json::Value;

/// Bytes of an entry that are read; it holds much besides its line.
const ENTRY_LIMIT: usize = 256 << 10;

/// The form of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Each line is what it is.
    Lines,
    /// Each line is an entry as `journalctl --output=json` writes it, and this field of it is what
    /// was logged.
    Entries(String),
}

impl Form {
    /// Bytes of a line that are read, of lines that may have `plain` bytes once they are plain.
    pub(super) const fn limit(&self, plain: usize) -> usize {
        match self {
            Self::Lines => plain,
            Self::Entries(_) => ENTRY_LIMIT,
        }
    }

    /// The lines that were logged; an entry may hold several, and one without the field holds none.
    pub(super) fn logged(&self, line: String) -> Vec<String> {
        let Self::Entries(field) = self else {
            return vec![line];
        };
        let Ok(Value::Object(entry)) = serde_json::from_str(&line) else {
            // Whatever it is, it was said.
            return vec![line];
        };
        let text = match entry.get(field) {
            Some(Value::String(text)) => text.clone(),
            // What is no UTF-8 comes as numbers.
            Some(Value::Array(bytes)) => {
                let byte = |value: &Value| u8::try_from(value.as_u64()?).ok();
                let bytes: Vec<u8> = bytes.iter().filter_map(byte).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
            Some(Value::Null) | None => return Vec::new(),
            Some(other) => other.to_string(),
        };
        text.lines().map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(line: &str) -> Vec<String> {
        Form::Entries("MESSAGE".into()).logged(line.into())
    }

    #[test]
    fn the_field_of_an_entry_is_the_line() {
        let entry = r#"{"_PID":"7","MESSAGE":"lost\nfor good","PRIORITY":"4"}"#;
        assert_eq!(logged(entry), ["lost", "for good"]);
        assert_eq!(logged(r#"{"MESSAGE":[104,105,255]}"#), ["hi\u{fffd}"]);
        assert_eq!(logged(r#"{"MESSAGE":null}"#), [""; 0]);
        assert_eq!(logged(r#"{"PRIORITY":"4"}"#), [""; 0]);
        let priority = Form::Entries("PRIORITY".into());
        assert_eq!(priority.logged(entry.into()), ["4"]);
    }

    #[test]
    fn what_is_no_entry_is_kept_as_it_is() {
        assert_eq!(logged("-- No entries --"), ["-- No entries --"]);
        assert_eq!(Form::Lines.logged("{}".into()), ["{}"]);
    }
}
