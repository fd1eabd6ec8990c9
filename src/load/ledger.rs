use serde_json::Value;

use super::request::Filled;
use super::spec::{FateRule, LedgerSpec};
use crate::event::{Fate, Outcome};

impl LedgerSpec {
    /// The key under which the ledger knows a request.
    pub(super) fn key_in(&self, request: &Filled) -> Option<String> {
        let body = request.json.as_ref()?;
        // A field may have a `.` in its name; otherwise each one leads a level further down.
        let nested = || {
            self.key
                .split('.')
                .try_fold(body, |inner, key| inner.get(key))
        };
        match body.get(&self.key).or_else(nested)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// What an outcome says about the write; unknown unless a rule names it.
    pub fn fate(&self, outcome: &Outcome) -> Fate {
        let named_by = |rules: &[FateRule]| rules.iter().any(|rule| rule.matches(outcome));
        // Under a status of success it was what the answer says that was not ok.
        let denied = matches!(
            outcome,
            Outcome::NotOk {
                status: Some(200..300),
                ..
            }
        );
        if named_by(&self.ok) && !denied {
            Fate::Ok
        } else if named_by(&self.fail) {
            Fate::Fail
        } else {
            Fate::Unknown
        }
    }
}

impl FateRule {
    /// Whether the outcome belongs to this class.
    pub fn matches(self, outcome: &Outcome) -> bool {
        let status = match outcome {
            Outcome::Ok { status } | Outcome::NotOk { status, .. } => *status,
            _ => None,
        };
        match self {
            Self::Class(class) => status.is_some_and(|status| status / 100 == class),
            Self::Status(wanted) => status == Some(wanted),
            Self::ConnectError => matches!(outcome, Outcome::ConnectError { .. }),
            Self::Timeout => matches!(outcome, Outcome::Timeout),
            Self::Broken => matches!(outcome, Outcome::Broken { .. }),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::keys::Keys;
    use super::super::request::{Request, Values};
    use super::super::spec::RequestSpec;
    use super::*;
    use crate::template::Template;

    #[test]
    fn a_key_may_lie_within_the_body() {
        let json = json!({"variables": {"i": "{{seq}}", "list": []}, "a.b": 1});
        let spec = RequestSpec {
            method: "POST".into(),
            path: Template::parse("/graphql").unwrap(),
            headers: Vec::new(),
            json: Some(json),
        };
        let request = Request::new(&spec, &["seq"]).unwrap();
        let keys = Keys::new(1, "writes");
        let filled = request.fill(&Values::new(&keys, 7, None), 0).unwrap();
        for (key, expected) in [
            ("variables.i", Some("7")),
            ("a.b", Some("1")),
            ("variables.list", None),
            ("variables.j", None),
            ("i", None),
        ] {
            let ledger = LedgerSpec {
                name: "chunks".into(),
                key: key.into(),
                ok: Vec::new(),
                fail: Vec::new(),
                database: "db".into(),
                sql: String::new(),
            };
            assert_eq!(ledger.key_in(&filled).as_deref(), expected, "{key}");
        }
    }

    #[test]
    fn only_what_a_rule_names_is_known() {
        let ledger = LedgerSpec {
            name: "chunks".into(),
            key: "id".into(),
            ok: vec![FateRule::Class(2)],
            fail: vec![FateRule::Class(4), FateRule::ConnectError],
            database: "db".into(),
            sql: String::new(),
        };
        let answered = |status| Outcome::NotOk {
            status: Some(status),
            why: String::new(),
        };
        assert_eq!(
            ledger.fate(&answered(200)),
            Fate::Unknown,
            "an error under a status of success acknowledges nothing"
        );
        let why = String::new;
        let ok = Outcome::Ok { status: Some(201) };
        assert_eq!(ledger.fate(&ok), Fate::Ok);
        assert_eq!(ledger.fate(&answered(409)), Fate::Fail);
        assert_eq!(
            ledger.fate(&Outcome::ConnectError { why: why() }),
            Fate::Fail
        );
        assert_eq!(ledger.fate(&answered(503)), Fate::Unknown);
        assert_eq!(ledger.fate(&Outcome::Timeout), Fate::Unknown);
        assert_eq!(ledger.fate(&Outcome::Broken { why: why() }), Fate::Unknown);
        assert!(FateRule::Status(409).matches(&answered(409)));
        assert!(!FateRule::Status(409).matches(&answered(408)));
        assert!(FateRule::Timeout.matches(&Outcome::Timeout));
        assert!(FateRule::Broken.matches(&Outcome::Broken { why: why() }));
    }
}
