use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::event::Name;

/// One name, or an array of names: `"a"` or `["a", "b"]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names(pub Vec<Name>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or an array of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.into()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Names, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element::<String>()? {
                    all.push(name.into());
                }
                if all.is_empty() {
                    return Err(de::Error::invalid_length(0, &"at least one name"));
                }
                Ok(Names(all))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl schemars::JsonSchema for Names {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A name, or an array of names.",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" }, "minItems": 1 },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_an_array_of_names_are_both_read() {
        let one: Names = serde_json::from_str("\"a\"").unwrap();
        let two: Names = serde_json::from_str("[\"a\", \"b\"]").unwrap();
        assert_eq!((one.0.len(), two.0.len()), (1, 2));
        assert!(serde_json::from_str::<Names>("[]").is_err());
        assert!(serde_json::from_str::<Names>("3").is_err());
    }
}
