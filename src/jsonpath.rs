//! Paths into JSON documents (`$.items[0].state`) and conditions on them.
//!
//! Only what scenarios need: fields, positions and equality. No wildcards, no filters, no I/O.

use std::fmt;

use serde_json::Value;

/// A path to one value: `$`, then `.name` and `[position]` in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    raw: String,
    steps: Vec<Step>,
}

/// A path and the value that must be found there: `$.state == 'completed'`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    path: Path,
    wanted: Value,
}

/// Why a text is no path or no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not begin at the root.
    #[error("`{text}` does not start with `$`; write a path such as `$.state` or `$.items[0]`")]
    Root {
        /// What was written.
        text: String,
    },
    /// Something else than a field or a position.
    #[error("`{rest}` in `{text}` is no step; write `.name` or `[0]`")]
    Step {
        /// What was written.
        text: String,
        /// From where on it could not be read.
        rest: String,
    },
    /// A condition without a comparison.
    #[error("`{text}` compares nothing; write a condition such as `$.state == 'completed'`")]
    Comparison {
        /// What was written.
        text: String,
    },
    /// A condition that does not compare with one text, number or truth value.
    #[error("`{value}` is no value; write `'text'`, a number, `true`, `false` or `null`")]
    Value {
        /// What stands after `==`.
        value: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Position(usize),
}

impl Path {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let raw = text.trim();
        let mut rest = raw.strip_prefix('$').ok_or_else(|| PathError::Root {
            text: raw.to_owned(),
        })?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, behind) = first_step(rest).ok_or_else(|| PathError::Step {
                text: raw.to_owned(),
                rest: rest.to_owned(),
            })?;
            steps.push(step);
            rest = behind;
        }
        Ok(Self {
            raw: raw.to_owned(),
            steps,
        })
    }

    /// The value that the path leads to, if the document has one there.
    pub fn find<'a>(&self, document: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(document, |at, step| match step {
            Step::Field(name) => at.get(name),
            Step::Position(index) => at.get(index),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}

impl Condition {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let (path, value) = text.split_once("==").ok_or_else(|| PathError::Comparison {
            text: text.trim().to_owned(),
        })?;
        Ok(Self {
            path: Path::parse(path)?,
            wanted: literal(value.trim())?,
        })
    }

    /// Whether the document has the wanted value at the path.
    pub fn holds(&self, document: &Value) -> bool {
        self.path
            .find(document)
            .is_some_and(|found| equal(found, &self.wanted))
    }
}

/// Whether two values are the same; numbers by their value, so that `1` and `1.0` are.
pub fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            left == right || left.as_f64() == right.as_f64()
        }
        _ => left == right,
    }
}

fn first_step(text: &str) -> Option<(Step, &str)> {
    if let Some(name) = text.strip_prefix('.') {
        let end = name
            .find(|c: char| matches!(c, '.' | '[' | ']' | '=' | '\'' | '"') || c.is_whitespace())
            .unwrap_or(name.len());
        return (end > 0).then(|| (Step::Field(name[..end].to_owned()), &name[end..]));
    }
    let (index, behind) = text.strip_prefix('[')?.split_once(']')?;
    Some((Step::Position(index.trim().parse().ok()?), behind))
}

fn literal(text: &str) -> Result<Value, PathError> {
    let quoted = text
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''));
    if let Some(quoted) = quoted {
        return Ok(Value::String(quoted.to_owned()));
    }
    match serde_json::from_str(text) {
        Ok(Value::Array(_) | Value::Object(_)) | Err(_) => Err(PathError::Value {
            value: text.to_owned(),
        }),
        Ok(value) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(path: &str, document: &Value) -> Option<Value> {
        Path::parse(path).unwrap().find(document).cloned()
    }

    #[test]
    fn paths_lead_through_fields_and_positions() {
        let document = json!({"a": {"b-c": [10, {"d": true}]}, "n": null});
        assert_eq!(find("$", &document), Some(document.clone()));
        assert_eq!(find("$.a.b-c[0]", &document), Some(json!(10)));
        assert_eq!(find("$.a.b-c[1].d", &document), Some(json!(true)));
        assert_eq!(find("$.n", &document), Some(Value::Null));
        assert_eq!(find("$.a.b-c[2]", &document), None);
        assert_eq!(find("$.a[0]", &document), None);
        assert_eq!(find("$.missing.d", &document), None);
    }

    #[test]
    fn conditions_compare_texts_numbers_and_truth_values() {
        let document = json!({"state": "completed", "n": 3, "ok": true});
        let holds = |text| Condition::parse(text).unwrap().holds(&document);
        assert!(holds("$.state == 'completed'"));
        assert!(holds("$.state==\"completed\""));
        assert!(!holds("$.state == 'running'"));
        assert!(holds("$.n == 3"));
        assert!(holds("$.n == 3.0"));
        assert!(!holds("$.n == '3'"));
        assert!(holds("$.ok == true"));
        assert!(!holds("$.missing == null"));
    }

    #[test]
    fn errors_say_what_to_write() {
        let error = |text| Condition::parse(text).unwrap_err().to_string();
        assert_eq!(
            error("state == 'completed'"),
            "`state` does not start with `$`; write a path such as `$.state` or `$.items[0]`"
        );
        assert_eq!(
            error("$.items[x] == 1"),
            "`[x]` in `$.items[x]` is no step; write `.name` or `[0]`"
        );
        assert_eq!(
            error("$.state = 'completed'"),
            "`$.state = 'completed'` compares nothing; write a condition such as `$.state == 'completed'`"
        );
        assert_eq!(
            error("$.state == completed"),
            "`completed` is no value; write `'text'`, a number, `true`, `false` or `null`"
        );
        assert!(Path::parse("$..a").is_err());
        assert!(Path::parse("$.").is_err());
        assert!(Path::parse("$.a b").is_err());
    }
}
