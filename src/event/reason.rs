//! Why observations were not ok, and how often.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Outcome, Sample};

/// Reasons that are listed at most; the commonest come first.
const MOST: usize = 3;
/// Characters of a reason that are shown.
const LENGTH: usize = 160;

/// A reason for which observations were not ok.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reason {
    /// What was answered or what broke, in one line of at most 160 characters.
    pub text: String,
    /// How many observations failed for it.
    pub count: u64,
}

/// The commonest reasons among `samples`, at most three; those of the rest are counted as one.
pub fn reasons<'a>(samples: impl IntoIterator<Item = &'a Sample>) -> Vec<Reason> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    for sample in samples {
        if let Some(text) = reason(&sample.outcome) {
            *counts.entry(text).or_default() += 1;
        }
    }
    let all = counts.into_iter();
    let mut all: Vec<_> = all.map(|(text, count)| Reason { text, count }).collect();
    all.sort_by(|one, other| (other.count, &one.text).cmp(&(one.count, &other.text)));
    if all.len() > MOST {
        let rest = all.split_off(MOST - 1);
        all.push(Reason {
            text: "other reasons".to_owned(),
            count: rest.iter().map(|reason| reason.count).sum(),
        });
    }
    all
}

/// `None` for an observation that was ok.
fn reason(outcome: &Outcome) -> Option<String> {
    let text = match outcome {
        Outcome::Ok { .. } => return None,
        Outcome::NotOk { why, .. } => why.clone(),
        Outcome::Timeout => "no answer in time".to_owned(),
        Outcome::ConnectError { why } => format!("no connection: {why}"),
        Outcome::Broken { why } => format!("the connection broke: {why}"),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(match line.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    })
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.count, self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Moment;

    fn sample(outcome: Outcome) -> Sample {
        Sample {
            source: "s".into(),
            intended: Moment::ZERO,
            sent: Moment::ZERO,
            done: Moment::ZERO,
            outcome,
            digest: None,
        }
    }

    fn not_ok(why: &str) -> Outcome {
        let why = why.to_owned();
        Outcome::NotOk { status: None, why }
    }

    fn of(outcomes: Vec<Outcome>) -> Vec<String> {
        let samples: Vec<Sample> = outcomes.into_iter().map(sample).collect();
        reasons(&samples).iter().map(Reason::to_string).collect()
    }

    #[test]
    fn the_commonest_reasons_come_first_and_the_rest_is_counted() {
        let outcomes = [("b", 3), ("a", 3), ("c", 5), ("d", 1), ("e", 2)];
        let each = outcomes
            .iter()
            .flat_map(|(why, count)| vec![not_ok(why); *count]);
        let found = of(each.chain([Outcome::Ok { status: None }]).collect());
        assert_eq!(found, ["5 x c", "3 x a", "6 x other reasons"]);
    }

    #[test]
    fn every_kind_of_failure_has_a_reason_and_what_is_ok_has_none() {
        let why = || "refused".to_owned();
        let found = of(vec![
            Outcome::Timeout,
            Outcome::Timeout,
            Outcome::ConnectError { why: why() },
        ]);
        assert_eq!(
            found,
            ["2 x no answer in time", "1 x no connection: refused"]
        );
        assert_eq!(
            of(vec![Outcome::Broken { why: why() }]),
            ["1 x the connection broke: refused"]
        );
        assert!(of(vec![Outcome::Ok { status: None }]).is_empty());
    }

    #[test]
    fn a_long_reason_is_one_short_line() {
        let found = of(vec![not_ok(&"long \n text ".repeat(50))]);
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("1 x long text long text"), "{found:?}");
        assert!(found[0].ends_with("...") && found[0].chars().count() < 170);
    }
}
