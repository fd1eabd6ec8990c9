use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};
use serde_json::Value;

use super::keys::Keys;
use super::spec::RequestSpec;
use crate::http::Call;
use crate::template::{Template, Unclosed, UnknownName};

/// The placeholders that every request may use.
pub const REQUEST_NAMES: &[&str] = &["uuid", "seq"];
/// The placeholders of a request about a job that was started.
pub const JOB_NAMES: &[&str] = &["uuid", "seq", "job.id"];

/// What is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The method.
    #[error("`{method}` is no method; write `GET`, `POST`, `PUT`, `PATCH` or `DELETE`")]
    Method {
        /// What was written.
        method: String,
    },
    /// The path.
    #[error("`{path}` is no path; it starts with `/` and has no blanks")]
    Path {
        /// What was written, filled in.
        path: String,
    },
    /// The name of a header.
    #[error("`{header}` is no name of a header")]
    HeaderName {
        /// What was written.
        header: String,
    },
    /// The value of a header.
    #[error("the value of header `{header}` has a character that headers cannot carry")]
    HeaderValue {
        /// The header.
        header: String,
    },
    /// A placeholder that is not closed.
    #[error(transparent)]
    Unclosed(#[from] Unclosed),
    /// A placeholder without a value.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
}

impl RequestSpec {
    /// Whether the request can be sent once the placeholders `names` are filled in
    /// ([`REQUEST_NAMES`] or [`JOB_NAMES`]).
    pub fn check(&self, names: &[&str]) -> Result<(), RequestError> {
        Request::new(self, names).map(drop)
    }
}

/// A request ready to be filled in.
#[derive(Debug, Clone)]
pub(super) struct Request {
    method: Method,
    path: Template,
    headers: Vec<(HeaderName, Template)>,
    json: Option<Json>,
}

/// A request filled in.
#[derive(Debug)]
pub(super) struct Filled {
    pub(super) call: Call,
    pub(super) json: Option<Value>,
}

/// What the placeholders stand for in one request.
#[derive(Debug)]
pub(super) struct Values<'a> {
    uuid: uuid::Uuid,
    seq: u64,
    job: Option<&'a str>,
}

impl<'a> Values<'a> {
    pub(super) fn new(keys: &Keys, seq: u64, job: Option<&'a str>) -> Self {
        Self {
            uuid: keys.uuid(seq),
            seq,
            job,
        }
    }

    fn lookup(&self, name: &str) -> Option<String> {
        match name {
            "uuid" => Some(self.uuid.to_string()),
            "seq" => Some(self.seq.to_string()),
            "job.id" => self.job.map(str::to_owned),
            _ => None,
        }
    }
}

/// A JSON document whose strings are templates; names of fields are not.
#[derive(Debug, Clone)]
enum Json {
    Text(Template),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
    Fixed(Value),
}

impl Request {
    pub(super) fn new(spec: &RequestSpec, names: &[&str]) -> Result<Self, RequestError> {
        let is_method = spec.method.bytes().all(|byte| byte.is_ascii_uppercase());
        let method = Method::from_bytes(spec.method.as_bytes())
            .ok()
            .filter(|_| is_method)
            .ok_or_else(|| RequestError::Method {
                method: spec.method.clone(),
            })?;
        let headers = spec.headers.iter().map(|(name, value)| {
            let parsed = name.parse().map_err(|_| RequestError::HeaderName {
                header: name.clone(),
            })?;
            Ok((parsed, value.clone()))
        });
        let request = Self {
            method,
            path: spec.path.clone(),
            headers: headers.collect::<Result<_, RequestError>>()?,
            json: spec.json.as_ref().map(Json::new).transpose()?,
        };
        // Digits are right wherever a value can stand, so what fails now is the text around them.
        let known = |name: &str| names.contains(&name).then(|| "0".to_owned());
        request.render(known, 0)?;
        Ok(request)
    }

    /// Fills in every placeholder; `keep` is for [`Call::keep`].
    pub(super) fn fill(&self, values: &Values<'_>, keep: usize) -> Result<Filled, RequestError> {
        self.render(|name| values.lookup(name), keep)
    }

    fn render(
        &self,
        lookup: impl Fn(&str) -> Option<String>,
        keep: usize,
    ) -> Result<Filled, RequestError> {
        let path = self.path.render(&lookup)?;
        if !path.starts_with('/') || path.parse::<Uri>().is_err() {
            return Err(RequestError::Path { path });
        }
        let mut headers = HeaderMap::new();
        if self.json.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in &self.headers {
            let value = value.render(&lookup)?;
            let value = value.parse().map_err(|_| RequestError::HeaderValue {
                header: name.to_string(),
            })?;
            headers.insert(name.clone(), value);
        }
        let json = self
            .json
            .as_ref()
            .map(|json| json.render(&lookup))
            .transpose()?;
        let body = json
            .as_ref()
            .map(|json| Bytes::from(json.to_string()))
            .unwrap_or_default();
        let call = Call {
            method: self.method.clone(),
            path,
            headers,
            body,
            keep,
            hash: false,
        };
        Ok(Filled { call, json })
    }
}

impl Json {
    fn new(value: &Value) -> Result<Self, RequestError> {
        Ok(match value {
            Value::String(text) => Self::Text(Template::parse(text)?),
            Value::Array(items) => {
                Self::List(items.iter().map(Self::new).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => Self::Object(
                fields
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Self::new(value)?)))
                    .collect::<Result<_, RequestError>>()?,
            ),
            fixed => Self::Fixed(fixed.clone()),
        })
    }

    fn render(&self, lookup: &impl Fn(&str) -> Option<String>) -> Result<Value, UnknownName> {
        Ok(match self {
            Self::Text(template) => Value::String(template.render(lookup)?),
            Self::List(items) => items
                .iter()
                .map(|item| item.render(lookup))
                .collect::<Result<_, _>>()?,
            Self::Object(fields) => fields
                .iter()
                .map(|(name, value)| Ok((name.clone(), value.render(lookup)?)))
                .collect::<Result<_, UnknownName>>()?,
            Self::Fixed(value) => value.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(method: &str, path: &str, json: Option<Value>) -> RequestSpec {
        RequestSpec {
            method: method.into(),
            path: Template::parse(path).unwrap(),
            headers: vec![("x-request".into(), Template::parse("r{{seq}}").unwrap())],
            json,
        }
    }

    fn values() -> Values<'static> {
        Values {
            uuid: uuid::Uuid::nil(),
            seq: 7,
            job: Some("j1"),
        }
    }

    #[test]
    fn every_string_is_filled_in_and_one_request_has_one_uuid() {
        let json =
            json!({"id": "{{uuid}}", "list": ["fn f{{seq}}() {}"], "n": 3, "seq": "{{seq}}"});
        let spec = spec("PUT", "/jobs/{{job.id}}?key={{uuid}}", Some(json));
        let request = Request::new(&spec, JOB_NAMES).unwrap();
        let Filled { call, json } = request.fill(&values(), 10).unwrap();
        let nil = uuid::Uuid::nil().to_string();
        assert_eq!(call.path, format!("/jobs/j1?key={nil}"));
        assert_eq!(call.headers["x-request"], "r7");
        assert_eq!(call.headers[CONTENT_TYPE], "application/json");
        let expected = json!({"id": nil, "list": ["fn f7() {}"], "n": 3, "seq": "7"});
        assert_eq!(json, Some(expected.clone()));
        assert_eq!(
            serde_json::from_slice::<Value>(&call.body).unwrap(),
            expected
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_the_run() {
        let error = |spec: RequestSpec| spec.check(REQUEST_NAMES).unwrap_err().to_string();
        assert_eq!(
            error(spec("get", "/", None)),
            "`get` is no method; write `GET`, `POST`, `PUT`, `PATCH` or `DELETE`"
        );
        assert_eq!(
            error(spec("GET", "/a b", None)),
            "`/a b` is no path; it starts with `/` and has no blanks"
        );
        assert!(matches!(
            spec("GET", "health", None).check(REQUEST_NAMES),
            Err(RequestError::Path { .. })
        ));
        assert_eq!(
            error(spec("GET", "/{{job.id}}", None)),
            "`{{job.id}}` is not known here"
        );
        assert_eq!(
            error(spec("POST", "/", Some(json!({"a": ["{{uid}}"]})))),
            "`{{uid}}` is not known here"
        );
        assert!(matches!(
            spec("POST", "/", Some(json!("{{uuid"))).check(REQUEST_NAMES),
            Err(RequestError::Unclosed(_))
        ));
        let mut bad = spec("GET", "/", None);
        bad.headers = vec![("x y".into(), Template::default())];
        assert_eq!(error(bad.clone()), "`x y` is no name of a header");
        bad.headers = vec![("x".into(), Template::parse("a\nb").unwrap())];
        assert!(matches!(
            bad.check(REQUEST_NAMES),
            Err(RequestError::HeaderValue { .. })
        ));
    }
}
