use super::{CheckRecord, CheckVerdict};
use crate::check::{Ended, Severity};
use crate::units::Moment;

/// The name under which a service that ended stands among the checks.
const ENDED: &str = "services-stay-up";

/// The services that ended by themselves, as a check that failed. It comes before all others: what
/// they found follows from it.
pub(super) fn ended(ended: &[Ended], origin: Moment) -> Option<CheckRecord> {
    let words = |one: &Ended| {
        let at = one.at.seconds_from(origin);
        format!("`{}` ended at {at:.2} s: {}", one.service, one.how)
    };
    let last = |one: &Ended| {
        let line = one.last_line.as_ref()?;
        Some(format!("the last line of `{}`: {line}", one.service))
    };
    let summary: Vec<String> = ended.iter().map(words).collect();
    (!ended.is_empty()).then(|| CheckRecord {
        name: ENDED.into(),
        kind: "service".to_owned(),
        severity: Severity::Error,
        verdict: CheckVerdict::Fail,
        place: None,
        summary: summary.join("; "),
        evidence: Vec::new(),
        figures: [("services_ended".to_owned(), ended.len() as f64)].into(),
        notes: ended.iter().filter_map(last).collect(),
        help: Some(
            "let the service outlive its dependencies: retry in the background instead of ending. \
             If it is meant to end, write `expect = \"exit\"` and an `exit` check"
                .to_owned(),
        ),
        lengths: Vec::new(),
    })
}
