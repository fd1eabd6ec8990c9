//! What counts as ok of an HTTP answer: one definition for workloads and probes.

use std::collections::BTreeMap;
use std::fmt;

use hyper::header::HeaderName;
use regex::Regex;
use schemars::JsonSchema;
use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::protocol::{Asked, objection};
use super::wanted::Wanted;
use super::{TOO_LONG, brief};
use crate::event::Outcome;
use crate::http::Answer;
use crate::jsonpath::PathError;

/// What counts as ok. Everything named must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpOk {
    /// The HTTP status, or an array of them; any 2xx, unless given.
    #[serde(default, skip_serializing_if = "Statuses::is_any")]
    pub status: Statuses,
    /// Headers by name, each with a regular expression that its value must match
    /// (`location = "^/home"`).
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Values by JSON path (`"$.status" = "healthy"`).
    #[serde(default)]
    pub json: BTreeMap<String, Value>,
    /// Whether an error that JSON-RPC or GraphQL reports under a good status may be ok. Default
    /// `false`.
    #[serde(default)]
    pub protocol_errors: bool,
}

/// Statuses, any of which will do; none stands for every 2xx.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Statuses(pub Vec<u16>);

/// Why a demand on answers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OkError {
    /// A path into the JSON of an answer.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The name of a header.
    #[error("`{header}` is no name of a header")]
    Header {
        /// What was written.
        header: String,
    },
    /// What a header must match.
    #[error("the pattern is no regular expression: {0}")]
    Pattern(#[from] regex::Error),
}

/// Says whether answers are ok.
#[derive(Debug)]
pub(crate) struct Judge {
    status: Statuses,
    headers: Vec<(HeaderName, Regex)>,
    json: Wanted,
    protocol_errors: bool,
}

impl Judge {
    pub(crate) fn new(ok: &HttpOk) -> Result<Self, OkError> {
        let headers = ok.headers.iter().map(|(name, pattern)| {
            let header = name.parse().map_err(|_| OkError::Header {
                header: name.clone(),
            })?;
            Ok((header, Regex::new(pattern)?))
        });
        Ok(Self {
            status: ok.status.clone(),
            headers: headers.collect::<Result<_, OkError>>()?,
            json: Wanted::new(&ok.json)?,
            protocol_errors: ok.protocol_errors,
        })
    }

    /// The outcome of a request `asked` that got this answer.
    pub(crate) fn judge(&self, asked: Asked, answer: &Answer) -> Outcome {
        let status = Some(answer.status);
        match self.objection(asked, answer) {
            None => Outcome::Ok { status },
            Some(why) => Outcome::NotOk { status, why },
        }
    }

    /// What is not as wanted, if anything.
    fn objection(&self, asked: Asked, answer: &Answer) -> Option<String> {
        let status = answer.status;
        if !self.status.accepts(status) {
            let why = format!("status {status}, expected {}", self.status);
            return Some(match brief(&String::from_utf8_lossy(&answer.body)) {
                body if body.is_empty() => why,
                body => format!("{why}: {body}"),
            });
        }
        let header = self.headers.iter();
        let headers = header.map(|(name, pattern)| match answer.headers.get(name) {
            None => Some(format!("no header `{name}`")),
            Some(value) => {
                let value = String::from_utf8_lossy(value.as_bytes());
                let differs = !pattern.is_match(&value);
                differs.then(|| {
                    let value = brief(&value);
                    format!("header `{name}` is `{value}`, expected `{pattern}`")
                })
            }
        });
        if let Some(why) = headers.flatten().next() {
            return Some(why);
        }
        if !answer.is_whole() && !self.json.is_empty() {
            return Some(TOO_LONG.to_owned());
        }
        self.json.objection(&answer.body).or_else(|| {
            let judged = !self.protocol_errors;
            judged.then(|| objection(asked, answer)).flatten()
        })
    }
}

impl Statuses {
    const fn is_any(&self) -> bool {
        self.0.is_empty()
    }

    /// One that is no status.
    pub(crate) fn unknown(&self) -> Option<u16> {
        let mut these = self.0.iter().copied();
        these.find(|status| !(100..=599).contains(status))
    }

    fn accepts(&self, status: u16) -> bool {
        match &*self.0 {
            [] => (200..300).contains(&status),
            these => these.contains(&status),
        }
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.0.iter().map(u16::to_string).collect();
        match &*words {
            [] => f.write_str("2xx"),
            words => f.write_str(&words.join(" or ")),
        }
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;

        impl<'de> Visitor<'de> for OneOrMore {
            type Value = Statuses;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a status from 100 to 599, or an array of them")
            }

            fn visit_i64<E: de::Error>(self, status: i64) -> Result<Statuses, E> {
                let known = u16::try_from(status).map(|status| Statuses(vec![status]));
                known.map_err(|_| E::invalid_value(de::Unexpected::Signed(status), &self))
            }

            fn visit_u64<E: de::Error>(self, status: u64) -> Result<Statuses, E> {
                let known = u16::try_from(status).map(|status| Statuses(vec![status]));
                known.map_err(|_| E::invalid_value(de::Unexpected::Unsigned(status), &self))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut given: A) -> Result<Statuses, A::Error> {
                let mut statuses = Vec::new();
                while let Some(status) = given.next_element()? {
                    statuses.push(status);
                }
                if statuses.is_empty() {
                    return Err(de::Error::invalid_length(0, &"at least one status"));
                }
                Ok(Statuses(statuses))
            }
        }

        deserializer.deserialize_any(OneOrMore)
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let status = schemars::json_schema!({ "type": "integer", "minimum": 100, "maximum": 599 });
        schemars::json_schema!({
            "description": "An HTTP status, or an array of them.",
            "anyOf": [
                status,
                { "type": "array", "items": status, "minItems": 1 },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use hyper::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("location", "/login?failed".parse().unwrap());
        Answer {
            status,
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            length: body.len() as u64,
            sha256: None,
        }
    }

    fn why(ok: Value, answer: &Answer) -> Option<String> {
        let ok: HttpOk = serde_json::from_value(ok).unwrap();
        match Judge::new(&ok).unwrap().judge(Asked::Other, answer) {
            Outcome::Ok { .. } => None,
            Outcome::NotOk { why, .. } => Some(why),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn everything_named_must_hold() {
        let ok = json!({ "status": 200, "json": { "$.status": "healthy", "$.pool.size": 5 } });
        let healthy = r#"{"status": "healthy", "pool": {"size": 5.0}}"#;
        assert_eq!(why(ok.clone(), &answer(200, healthy)), None);
        let why = |status, body| why(ok.clone(), &answer(status, body)).unwrap();
        assert_eq!(why(503, "down\n"), "status 503, expected 200: down");
        assert_eq!(
            why(200, r#"{"status": "degraded", "pool": {"size": 5}}"#),
            r#"`$.status` is "degraded", expected "healthy""#
        );
        assert_eq!(
            why(200, r#"{"status": "healthy"}"#),
            "no `$.pool.size` in the answer"
        );
        assert!(why(200, "fine").starts_with("the answer is not JSON"));
    }

    #[test]
    fn without_a_status_any_2xx_will_do() {
        assert_eq!(why(json!({}), &answer(204, "")), None);
        let found = why(json!({}), &answer(302, "")).unwrap();
        assert_eq!(found, "status 302, expected 2xx");
    }

    #[test]
    fn a_redirect_may_be_good_and_a_200_bad() {
        let to = |path: &str| json!({ "status": [302, 303], "headers": { "Location": path } });
        assert_eq!(why(to("^/login"), &answer(302, "")), None);
        let found = why(to("^/home"), &answer(303, "")).unwrap();
        assert_eq!(
            found,
            "header `location` is `/login?failed`, expected `^/home`"
        );
        let found = why(to("^/home"), &answer(200, "")).unwrap();
        assert_eq!(found, "status 200, expected 302 or 303");
        let found = why(json!({ "headers": { "x-id": "." } }), &answer(200, "")).unwrap();
        assert_eq!(found, "no header `x-id`");
    }

    #[test]
    fn a_body_that_was_not_read_to_its_end_is_not_called_ok() {
        let mut cut = answer(200, r#"{"status": "healthy""#);
        cut.length += 1;
        assert_eq!(why(json!({}), &cut), None, "its body is not judged");
        let found = why(json!({ "json": { "$.status": "healthy" } }), &cut).unwrap();
        assert_eq!(found, TOO_LONG);
    }

    #[test]
    fn what_is_no_demand_is_refused() {
        for (ok, message) in [
            (json!({ "status": [] }), "at least one status"),
            (
                json!({ "status": 100_000 }),
                "a status from 100 to 599, or an array",
            ),
            (
                json!({ "status": "2xx" }),
                "a status from 100 to 599, or an array",
            ),
        ] {
            let error = serde_json::from_value::<HttpOk>(ok)
                .unwrap_err()
                .to_string();
            assert!(error.contains(message), "{error}");
        }
        for (name, pattern, message) in [
            ("a b", ".", "`a b` is no name of a header"),
            ("a", "(", "no regular expression"),
        ] {
            let headers = [(name.to_owned(), pattern.to_owned())].into();
            let ok = HttpOk {
                headers,
                ..HttpOk::default()
            };
            let error = Judge::new(&ok).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
