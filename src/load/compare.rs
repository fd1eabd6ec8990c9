use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::KEEP;
use crate::http::{Answer, HASHED};
use crate::jsonpath::Path;

/// What of an answer is compared with other answers: `"body"`, or an array of JSON paths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compare {
    /// The whole body.
    Body,
    /// The values at these paths.
    Values(Vec<Path>),
}

impl Compare {
    /// A digest that is the same for answers that are the same: 16 hexadecimal digits; or why there
    /// is none. The order of an object's fields does not matter. A body that is no JSON is compared
    /// as a whole.
    pub(crate) fn digest(&self, answer: &Answer) -> Result<String, String> {
        let too_long = |bound: u64| {
            let (length, bound) = (answer.length, bound >> 20);
            format!("an answer of {length} bytes is longer than the {bound} MiB that are compared")
        };
        let digest = match self {
            Self::Body => answer.sha256.ok_or_else(|| too_long(HASHED))?,
            Self::Values(_) if !answer.is_whole() => return Err(too_long(KEEP as u64)),
            Self::Values(paths) => values(paths, &answer.body),
        };
        let first = digest.iter().take(8);
        let number = first.fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Ok(format!("{number:016x}"))
    }
}

/// A digest of the values at these paths.
fn values(paths: &[Path], body: &[u8]) -> [u8; 32] {
    let Ok(document) = serde_json::from_slice::<Value>(body) else {
        return Sha256::digest(body).into();
    };
    let mut hasher = Sha256::new();
    for path in paths {
        match path.find(&document) {
            Some(value) => feed(&mut hasher, value),
            None => hasher.update(b"-"),
        }
        hasher.update(b";");
    }
    hasher.finalize().into()
}

/// A value with the fields of every object in order.
fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            hasher.update(b"{");
            for name in names {
                feed(hasher, &Value::from(name.as_str()));
                hasher.update(b":");
                feed(hasher, &fields[name]);
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        plain => hasher.update(plain.to_string()),
    }
}

impl Serialize for Compare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Body => serializer.serialize_str("body"),
            Self::Values(paths) => serializer.collect_seq(paths.iter().map(Path::to_string)),
        }
    }
}

impl<'de> Deserialize<'de> for Compare {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BodyOrPaths;

        impl<'de> Visitor<'de> for BodyOrPaths {
            type Value = Compare;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("`body` or an array of JSON paths such as `$.items`")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Compare, E> {
                match word {
                    "body" => Ok(Compare::Body),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Compare, A::Error> {
                let mut paths = Vec::new();
                while let Some(text) = texts.next_element::<String>()? {
                    paths.push(Path::parse(&text).map_err(de::Error::custom)?);
                }
                if paths.is_empty() {
                    return Err(de::Error::invalid_length(0, &"at least one path"));
                }
                Ok(Compare::Values(paths))
            }
        }

        deserializer.deserialize_any(BodyOrPaths)
    }
}

impl schemars::JsonSchema for Compare {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Compare".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "`body`, or an array of JSON paths.",
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

    fn answer(body: &str) -> Answer {
        Answer {
            status: 200,
            headers: hyper::HeaderMap::new(),
            body: hyper::body::Bytes::copy_from_slice(body.as_bytes()),
            length: body.len() as u64,
            sha256: Some(Sha256::digest(body).into()),
        }
    }

    fn read(text: &str) -> Result<Compare, serde_json::Error> {
        serde_json::from_str(text)
    }

    #[test]
    fn only_what_is_compared_counts() {
        let items = read(r#"["$.items", "$.total"]"#).unwrap();
        let digest = |body: &str| items.digest(&answer(body)).unwrap();
        let usual = digest(r#"{"items": [{"id": 1, "name": "a"}], "total": 1, "took_ms": 3}"#);
        assert_eq!(usual.len(), 16);
        assert_eq!(
            usual,
            digest(r#"{"took_ms": 9, "total": 1, "items": [{"name": "a", "id": 1}]}"#)
        );
        for other in [
            r#"{"items": [{"id": 2, "name": "a"}], "total": 1}"#,
            r#"{"items": [{"id": 1, "name": "a"}]}"#,
            r#"{"items": [], "total": 1}"#,
            "busy",
        ] {
            assert_ne!(usual, digest(other), "{other}");
        }
        let body = read(r#""body""#).unwrap();
        let digest = |text: &str| body.digest(&answer(text)).unwrap();
        assert_eq!(digest("a"), digest("a"));
        assert_ne!(digest("a"), digest("a "));
    }

    #[test]
    fn an_answer_that_was_not_read_whole_has_no_digest() {
        let mut long = answer("{}");
        long.length = 1_100_000;
        assert_eq!(
            read(r#"["$.id"]"#).unwrap().digest(&long).unwrap_err(),
            "an answer of 1100000 bytes is longer than the 1 MiB that are compared"
        );
        // Of the whole a hash is enough.
        let body = read(r#""body""#).unwrap();
        assert!(body.digest(&long).is_ok());
        (long.length, long.sha256) = (HASHED + 1, None);
        assert_eq!(
            body.digest(&long).unwrap_err(),
            "an answer of 67108865 bytes is longer than the 64 MiB that are compared"
        );
    }

    #[test]
    fn what_to_compare_reads_back_as_written_and_else_is_refused() {
        for text in [r#""body""#, r#"["$.items[0]","$.total"]"#] {
            let compare = read(text).unwrap();
            assert_eq!(serde_json::to_string(&compare).unwrap(), text);
        }
        for (text, why) in [
            (r#""head""#, "`body` or an array"),
            ("[]", "at least one path"),
            (r#"["items"]"#, "does not start with `$`"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
