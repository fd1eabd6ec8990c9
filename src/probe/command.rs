//! Commands that are asked for their exit code and for what they print.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;

use super::spec::MetricOk;
use super::{Look, ProbeProblem};
use crate::event::Outcome;
use crate::jsonpath::Path;
use crate::load::Wanted;
use crate::units::Clock;

/// Result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code, or how else it ended.
    pub exit: Result<i32, String>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

/// What becomes of a command, once it has ended or has been ended.
pub type Running<'a> = Pin<Box<dyn Future<Output = Result<Option<Ran>, String>> + Send + 'a>>;

/// Runs commands for probes, so that none of them outlives the run.
pub trait Programs: Send + Sync {
    /// Runs a command to its end; `None` if that took longer than `deadline` and it was ended by
    /// force, an error text if it could not be started.
    fn run<'a>(&'a self, command: &'a [String], deadline: Duration) -> Running<'a>;
}

/// What the result of a command must be.
#[derive(Debug)]
pub(super) struct Demand {
    exit: i32,
    /// Where the number stands in JSON; `None` if it is all that is printed.
    value: Option<Path>,
    bounds: MetricOk,
    json: Wanted,
}

/// One command, again and again, but never twice at once.
pub(super) struct Command {
    words: Vec<String>,
    demand: Demand,
    programs: Arc<dyn Programs>,
    clock: Clock,
    running: Mutex<()>,
}

impl Command {
    pub(super) fn new(
        words: Vec<String>,
        demand: Demand,
        programs: Arc<dyn Programs>,
        clock: Clock,
    ) -> Self {
        Self {
            words,
            demand,
            programs,
            clock,
            running: Mutex::new(()),
        }
    }
}

impl Look for Command {
    async fn look(&self, deadline: Duration) -> Outcome {
        let begun = self.clock.now();
        // While one is under way the next ones wait, each for as long as its own deadline lets it.
        let Ok(_running) = tokio::time::timeout(deadline, self.running.lock()).await else {
            return Outcome::Timeout;
        };
        let left = deadline.saturating_sub(self.clock.now().since(begun));
        match self.programs.run(&self.words, left).await {
            Ok(Some(ran)) => self.demand.judge(&ran),
            Ok(None) => Outcome::Timeout,
            Err(why) => Outcome::Broken { why },
        }
    }
}

impl Demand {
    pub(super) fn new(
        exit: i32,
        value: Option<&str>,
        bounds: MetricOk,
        json: &BTreeMap<String, Value>,
    ) -> Result<Self, ProbeProblem> {
        Ok(Self {
            exit,
            value: value.map(Path::parse).transpose()?,
            bounds,
            json: Wanted::new(json)?,
        })
    }

    fn judge(&self, ran: &Ran) -> Outcome {
        match self.objection(ran) {
            None => Outcome::Ok { status: None },
            Some(why) => Outcome::NotOk { status: None, why },
        }
    }

    /// What is not as wanted, if anything.
    fn objection(&self, ran: &Ran) -> Option<String> {
        let how = match &ran.exit {
            Ok(code) if *code == self.exit => None,
            Ok(code) => Some(format!("exit code {code}, expected {}", self.exit)),
            Err(how) => Some(how.clone()),
        };
        if let Some(how) = how {
            let last = ran
                .stderr
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty());
            return Some(last.map_or(how.clone(), |last| format!("{how}: {}", last.trim())));
        }
        self.json.objection(ran.stdout.as_bytes()).or_else(|| {
            if self.bounds == MetricOk::default() && self.value.is_none() {
                return None;
            }
            match self.number(&ran.stdout) {
                Ok(number) => self.bounds.objection(&self.what(), number),
                Err(why) => Some(why),
            }
        })
    }

    /// The number that was printed.
    fn number(&self, printed: &str) -> Result<f64, String> {
        let text = printed.trim();
        let Some(path) = &self.value else {
            let no_number = |_| format!("no number was printed, but `{}`", start_of(text));
            return text.parse().map_err(no_number);
        };
        let document: Value = serde_json::from_str(text)
            .map_err(|error| format!("what was printed is not JSON: {error}"))?;
        let found = path
            .find(&document)
            .ok_or_else(|| format!("no `{path}` in what was printed"))?;
        found
            .as_f64()
            .ok_or_else(|| format!("`{path}` is {found}, no number"))
    }

    fn what(&self) -> String {
        match &self.value {
            Some(path) => path.to_string(),
            None => "number".to_owned(),
        }
    }
}

/// As much of a text as a message needs.
fn start_of(text: &str) -> &str {
    &text[..text.floor_char_boundary(80)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ran(code: i32, stdout: &str) -> Ran {
        Ran {
            exit: Ok(code),
            stdout: stdout.into(),
            stderr: "first\nwhat went wrong\n\n".into(),
        }
    }

    fn below(limit: f64) -> MetricOk {
        MetricOk {
            below: Some(limit),
            above: None,
        }
    }

    fn objection(exit: i32, value: Option<&str>, bounds: MetricOk, ran: &Ran) -> Option<String> {
        let demand = Demand::new(exit, value, bounds, &BTreeMap::new()).unwrap();
        demand.objection(ran)
    }

    #[test]
    fn the_exit_code_must_be_as_wanted_and_the_last_complaint_is_told() {
        let any = MetricOk::default();
        assert_eq!(objection(0, None, any, &ran(0, "anything")), None);
        assert_eq!(objection(3, None, any, &ran(3, "")), None);
        assert_eq!(
            objection(0, None, any, &ran(3, "")).unwrap(),
            "exit code 3, expected 0: what went wrong"
        );
        let killed = Ran {
            exit: Err("signal SIGSEGV".into()),
            ..ran(0, "")
        };
        let why = objection(0, None, any, &killed).unwrap();
        assert_eq!(why, "signal SIGSEGV: what went wrong");
    }

    #[test]
    fn a_number_that_is_printed_must_lie_within_the_bounds() {
        let of = |printed: &str| objection(0, None, below(10.0), &ran(0, printed));
        assert_eq!(of(" 9.5\n"), None);
        assert_eq!(of("10\n").unwrap(), "`number` is 10, expected below 10");
        assert_eq!(of("many").unwrap(), "no number was printed, but `many`");
    }

    #[test]
    fn a_number_may_stand_in_json() {
        let of = |printed: &str| objection(0, Some("$.depth"), below(10.0), &ran(0, printed));
        assert_eq!(of(r#"{"depth": 3}"#), None);
        assert_eq!(
            of(r#"{"depth": 30}"#).unwrap(),
            "`$.depth` is 30, expected below 10"
        );
        assert_eq!(
            of(r#"{"depth": "x"}"#).unwrap(),
            "`$.depth` is \"x\", no number"
        );
        assert_eq!(of("{}").unwrap(), "no `$.depth` in what was printed");
        assert!(
            of("3 4")
                .unwrap()
                .starts_with("what was printed is not JSON")
        );
    }

    #[test]
    fn values_that_are_printed_must_be_as_wanted() {
        let wanted = [("$.role".to_owned(), json!("primary"))].into();
        let demand = Demand::new(0, None, MetricOk::default(), &wanted).unwrap();
        assert_eq!(demand.objection(&ran(0, r#"{"role": "primary"}"#)), None);
        assert_eq!(
            demand.objection(&ran(0, r#"{"role": "replica"}"#)).unwrap(),
            "`$.role` is \"replica\", expected \"primary\""
        );
    }
}
