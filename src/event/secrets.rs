use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use super::Event;

/// Passwords and tokens, which nothing that a run writes or prints may hold. Everything that leaves
/// the program passes through [`Self::mask`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(BTreeSet<String>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Shorter texts stand everywhere; to mask them would make everything unreadable.
    const SHORTEST: usize = 3;

    /// Keeps `text` a secret from now on.
    pub fn add(&mut self, text: &str) {
        if text.len() >= Self::SHORTEST {
            self.0.insert(text.to_owned());
        }
    }

    /// Keeps those of `others` as well.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// The text with `*` for each byte of a secret, so that places in it stay where they are. A secret
    /// within a longer word is another word.
    pub fn mask<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut masked = Cow::Borrowed(text);
        for secret in &self.0 {
            let places: Vec<usize> = masked
                .match_indices(&**secret)
                .map(|(start, _)| start)
                .filter(|start| stands_alone(&masked, *start, secret))
                .collect();
            for start in places {
                let stars = "*".repeat(secret.len());
                let end = start + secret.len();
                masked.to_mut().replace_range(start..end, &stars);
            }
        }
        masked
    }

    /// Masks every text in `value`; tells whether there was anything to mask.
    pub fn mask_all(&self, value: &mut Value) -> bool {
        match value {
            Value::String(text) => match self.mask(text) {
                Cow::Owned(masked) => {
                    *text = masked;
                    true
                }
                Cow::Borrowed(_) => false,
            },
            Value::Array(items) => items
                .iter_mut()
                .fold(false, |any, item| self.mask_all(item) | any),
            Value::Object(map) => map
                .values_mut()
                .fold(false, |any, item| self.mask_all(item) | any),
            _ => false,
        }
    }

    /// The event without secrets.
    pub fn masked(&self, event: Event) -> Event {
        if self.0.is_empty() {
            return event;
        }
        let Ok(mut value) = serde_json::to_value(&event) else {
            return event;
        };
        if !self.mask_all(&mut value) {
            return event;
        }
        // A secret that is a word of the journal's format cannot be masked in it.
        serde_json::from_value(value).unwrap_or(event)
    }
}

fn stands_alone(text: &str, start: usize, secret: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let (before, after) = (&text[..start], &text[start + secret.len()..]);
    let joined = |outer, inner| is_word(outer) && is_word(inner);
    !joined(before.chars().next_back(), secret.chars().next())
        && !joined(after.chars().next(), secret.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Fact, LogStream};
    use crate::units::Moment;

    #[test]
    fn a_secret_is_masked_wherever_it_stands_alone_and_places_stay() {
        let mut secrets = Secrets::default();
        secrets.add("chaos");
        secrets.add("x");
        assert_eq!(
            secrets.mask("chaosproxy: postgres://x:chaos@h, chaos"),
            "chaosproxy: postgres://x:*****@h, *****"
        );
        let event = Event {
            at: Moment::from_nanos(1),
            fact: Fact::Log {
                service: "s".into(),
                stream: LogStream::Stderr,
                line: "password=chaos".into(),
                cut: false,
            },
        };
        let Fact::Log { line, .. } = secrets.masked(event).fact else {
            panic!("another fact");
        };
        assert_eq!(&*line, "password=*****");
        assert_eq!(format!("{secrets:?}"), "1 secrets");
    }
}
