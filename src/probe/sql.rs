use std::time::Duration;

use serde_json::Value;
use tokio_postgres::{Config, Error};

use super::{Look, ProbeProblem};
use crate::event::Outcome;
use crate::jsonpath::equal;
use crate::sql::{self, ConnectError};

/// Asks a database, each time over a new connection: one that is still open from before can work
/// where no connection can be made any more.
#[derive(Debug)]
pub(super) struct Sql {
    config: Config,
    query: String,
    /// The values of the first row, if they matter.
    equals: Option<Vec<Value>>,
}

impl Sql {
    pub(super) fn new(
        url: &str,
        query: &str,
        equals: Option<&[Value]>,
    ) -> Result<Self, ProbeProblem> {
        Ok(Self {
            config: url.parse().map_err(|error| ProbeProblem::DatabaseUrl {
                why: sql::describe(&error),
            })?,
            query: query.to_owned(),
            equals: equals.map(<[Value]>::to_vec),
        })
    }

    async fn ask(&self) -> Outcome {
        let client = match sql::connect(&self.config).await {
            Ok(client) => client,
            Err(ConnectError::Address(error)) => {
                let why = error.to_string();
                return Outcome::ConnectError { why };
            }
            Err(ConnectError::Server(error)) => {
                return said_no(&error, |why| Outcome::ConnectError { why });
            }
        };
        match sql::ask(&client, &self.query).await {
            Ok(rows) => match self.objection(&rows) {
                None => Outcome::Ok { status: None },
                Some(why) => Outcome::NotOk { status: None, why },
            },
            Err(error) => said_no(&error, |why| Outcome::Broken { why }),
        }
    }

    /// What is not as wanted, if anything.
    fn objection(&self, rows: &[Vec<Value>]) -> Option<String> {
        let wanted = self.equals.as_ref()?;
        let Some(first) = rows.first() else {
            return Some("no row".to_owned());
        };
        let same = first.len() == wanted.len()
            && first
                .iter()
                .zip(wanted)
                .all(|(found, wanted)| equal(found, wanted));
        (!same).then(|| {
            let (found, wanted) = (Value::from(first.clone()), Value::from(wanted.clone()));
            format!("{found}, expected {wanted}")
        })
    }
}

impl Look for Sql {
    async fn look(&self, deadline: Duration) -> Outcome {
        let asked = tokio::time::timeout(deadline, self.ask()).await;
        asked.unwrap_or(Outcome::Timeout)
    }
}

/// A server that says why it does not answer has answered.
fn said_no(error: &Error, otherwise: impl FnOnce(String) -> Outcome) -> Outcome {
    let why = sql::describe(error);
    if error.as_db_error().is_some() {
        Outcome::NotOk { status: None, why }
    } else {
        otherwise(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_first_row_must_be_as_wanted() {
        let wanted = [json!(3), json!("a")];
        let probe = Sql::new("postgres://u@127.0.0.1/d", "SELECT 1", Some(&wanted)).unwrap();
        assert_eq!(probe.objection(&[vec![json!(3.0), json!("a")]]), None);
        let why = |rows: &[Vec<Value>]| probe.objection(rows).unwrap();
        assert_eq!(
            why(&[vec![json!(2), json!("a")]]),
            r#"[2,"a"], expected [3,"a"]"#
        );
        assert_eq!(why(&[vec![json!(3)]]), r#"[3], expected [3,"a"]"#);
        assert_eq!(why(&[]), "no row");
        let any = Sql::new("postgres://u@127.0.0.1/d", "SELECT 1", None).unwrap();
        assert_eq!(any.objection(&[]), None);
    }

    #[test]
    fn a_url_that_is_none_is_refused() {
        assert!(Sql::new("mysql://x", "SELECT 1", None).is_err());
    }
}
