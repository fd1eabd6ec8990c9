//! Whether a long job outlives its database.

use serde::{Deserialize, Serialize};

use crate::check::{
    About, Check, CheckSpec, Evidence, Finding, History, JobPoll, Lint, Names, Occurrence, Outlook,
    Verdict, lint, show,
};
use crate::event::Name;
use crate::units::Moment;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Job;

/// Parameters of a job check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The workload of kind `job`.
    pub workload: Name,
    /// The fault or faults that it must outlive.
    pub fault: Names,
    /// A query whose first row must be as given once the job is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Verify>,
}

/// A query past the proxy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// The database.
    pub database: Name,
    /// The query.
    pub sql: String,
    /// The values of its only row.
    pub equals: Vec<serde_json::Value>,
}

impl Check for Job {
    const TYPE: &'static str = "job";
    const SUMMARY: &'static str =
        "a job pauses with its database, resumes, and finishes with each item once";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Faults(params.fault.0.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::faults(&params.fault.0, outlook);
        if params.verify.is_none() {
            found.push(Lint::warning(
                "workload",
                "the job is believed when it says that it is done",
                "not verified",
                "add `verify` with a query that counts the stored items",
            ));
        }
        found
    }

    fn query(params: &Params) -> Option<(Name, String)> {
        let verify = params.verify.as_ref()?;
        Some((verify.database.clone(), verify.sql.clone()))
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let polls = history.job(&params.workload);
        let (Some(first), Some(last)) = (polls.first(), polls.last()) else {
            let why = format!("`{}` never said how its job was", params.workload);
            return Finding::inconclusive(spec, why, "let the job be started and asked");
        };
        let case = Case {
            params,
            spec,
            history,
            polls,
        };
        let mut finding = Finding::new(spec, Verdict::Pass, "");
        finding.evidence.push(case.never_back());
        for fault in &params.fault.0 {
            for occurrence in history.fault(fault) {
                finding.evidence.extend(case.outlives(fault, occurrence));
            }
        }
        finding.evidence.push(case.finishes(last));
        finding.evidence.extend(case.verified());
        finding.decide();
        if let Some(done) = polls.iter().find(|poll| poll.done) {
            finding.figure("job_s", done.at.since(first.at).as_secs_f64());
        }
        if let Some(progress) = last.progress {
            finding.figure("items_done", progress as f64);
        }
        advise(&mut finding);
        finding
    }
}

struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    polls: &'a [JobPoll],
}

impl Case<'_> {
    fn evidence(&self, verdict: Verdict, key: &str, expected: &str, measured: String) -> Evidence {
        Evidence::new(verdict, self.spec, key, expected, measured)
    }

    /// The verdict on what did not happen; in a run that ended early it may have been yet to come.
    fn not_yet(&self) -> Verdict {
        match self.history.ended_early() {
            None => Verdict::Fail,
            Some(_) => Verdict::Inconclusive,
        }
    }

    fn never_back(&self) -> Evidence {
        let known: Vec<(Moment, u64)> = self
            .polls
            .iter()
            .filter_map(|poll| Some((poll.at, poll.progress?)))
            .collect();
        let back = known.windows(2).find(|pair| pair[1].1 < pair[0].1);
        let (verdict, measured) = match back {
            Some(pair) => (
                Verdict::Fail,
                format!("progress fell from {} to {}", pair[0].1, pair[1].1),
            ),
            None => (Verdict::Pass, "progress never went back".to_owned()),
        };
        let mut evidence = self.evidence(verdict, "workload", "progress never goes back", measured);
        evidence.samples = known.len() as u64;
        evidence
    }

    /// The pause during one outage and the resumption after it.
    fn outlives(&self, fault: &str, occurrence: &Occurrence) -> Vec<Evidence> {
        let (from, to) = (occurrence.inject, self.history.lifted(occurrence));
        let under_way = self.polls.first().is_some_and(|poll| poll.at < from)
            && !self.polls.iter().any(|poll| poll.done && poll.at <= from);
        if !under_way {
            let measured = format!("the job was not under way when `{fault}` began");
            let expected = "a job under way during the fault";
            return vec![self.evidence(Verdict::Inconclusive, "fault", expected, measured)];
        }
        let mut found = Vec::new();
        if self.severs(fault) {
            found.extend(self.pauses(fault, (from, to)));
        }
        found.push(self.resumes(fault, to));
        found
    }

    /// Whether the fault takes the database away, rather than making it slow.
    fn severs(&self, fault: &str) -> bool {
        let faults = &self.history.experiment().faults;
        faults
            .iter()
            .any(|brief| &*brief.name == fault && brief.severs())
    }

    /// No item is marked done that cannot be stored. What was stored before the fault may become
    /// known at the first two answers under it.
    fn pauses(&self, fault: &str, (from, to): (Moment, Moment)) -> Option<Evidence> {
        let mut under = self
            .polls
            .iter()
            .filter(|poll| poll.at > from && poll.at < to)
            .filter_map(|poll| poll.progress);
        let (first, last) = (under.nth(1)?, under.next_back()?);
        let (verdict, measured) = if last > first {
            let went_on = format!("{} items marked done during `{fault}`", last - first);
            (Verdict::Fail, went_on)
        } else {
            (Verdict::Pass, format!("paused at {first} during `{fault}`"))
        };
        let expected = "no item is marked done while the database is gone";
        Some(
            self.evidence(verdict, "fault", expected, measured)
                .over((from, to), 0),
        )
    }

    fn resumes(&self, fault: &str, lift: Moment) -> Evidence {
        let before = self.polls.iter().filter(|poll| poll.at <= lift);
        let reached = before.filter_map(|poll| poll.progress).max();
        let resumed = self
            .polls
            .iter()
            .find(|poll| poll.at > lift && (poll.done || poll.progress > reached));
        let (verdict, measured) = match resumed {
            Some(poll) => (
                Verdict::Pass,
                format!(
                    "resumed within {} after `{fault}`",
                    show::time(poll.at.since(lift))
                ),
            ),
            None => (self.not_yet(), format!("no progress after `{fault}`")),
        };
        self.evidence(
            verdict,
            "fault",
            "the job goes on after the fault",
            measured,
        )
    }

    fn finishes(&self, last: &JobPoll) -> Evidence {
        let (verdict, measured) = if self.polls.iter().any(|poll| poll.done) {
            (Verdict::Pass, "the job said that it was done".to_owned())
        } else {
            let state = last.state.as_deref().unwrap_or("not done");
            let progress = last.progress.map(|items| format!(" at {items} items"));
            let progress = progress.unwrap_or_default();
            if over(state) {
                (Verdict::Fail, format!("the job ended `{state}`{progress}"))
            } else {
                let measured = format!("still `{state}`{progress} at the end");
                (self.not_yet(), measured)
            }
        };
        self.evidence(verdict, "workload", "the job ends done", measured)
    }

    fn verified(&self) -> Option<Evidence> {
        let verify = self.params.verify.as_ref()?;
        let (verdict, measured) = match self.history.query(&self.spec.name) {
            None => (
                Verdict::Inconclusive,
                "the query was never asked".to_owned(),
            ),
            Some(Err(why)) => (Verdict::Inconclusive, format!("the query failed: {why}")),
            Some(Ok(rows)) => match rows.as_slice() {
                [row] if same(row, &verify.equals) => (Verdict::Pass, listed(row)),
                [row] => (Verdict::Fail, listed(row)),
                _ => (Verdict::Fail, format!("{} rows", rows.len())),
            },
        };
        let expected = format!("stored: {}", listed(&verify.equals));
        let measured = format!("stored: {measured}");
        Some(Evidence::new(
            verdict, self.spec, "verify", expected, measured,
        ))
    }
}

/// Whether a state in the service's own words is one from which no job goes on.
fn over(state: &str) -> bool {
    const WORDS: [&str; 7] = [
        "aborted",
        "canceled",
        "cancelled",
        "error",
        "errored",
        "failed",
        "failure",
    ];
    WORDS.iter().any(|word| state.eq_ignore_ascii_case(word))
}

fn advise(finding: &mut Finding) {
    if finding.verdict == Verdict::Pass {
        let resumed = finding.evidence.iter();
        let resumed: Vec<&str> = resumed
            .map(|evidence| evidence.measured.as_str())
            .filter(|measured| measured.starts_with("resumed"))
            .collect();
        finding.summary = format!("done, each item once; {}", resumed.join(", "));
    }
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(
            "store a checkpoint with each batch in one transaction, and resume from it once \
             the database is back"
                .to_owned(),
        ),
        Verdict::Inconclusive => {
            Some("let the job be long enough to be under way during each fault".to_owned())
        }
    };
}

/// Whether two rows are the same; 10 and 10.0 are.
fn same(row: &[serde_json::Value], wanted: &[serde_json::Value]) -> bool {
    row.len() == wanted.len()
        && row.iter().zip(wanted).all(|(found, wanted)| {
            found == wanted
                || matches!(
                    (found.as_f64(), wanted.as_f64()),
                    (Some(found), Some(wanted)) if (found - wanted).abs() < f64::EPSILON
                )
        })
}

fn listed(row: &[serde_json::Value]) -> String {
    let values: Vec<String> = row.iter().map(ToString::to_string).collect();
    values.join(", ")
}

#[cfg(test)]
mod tests;
