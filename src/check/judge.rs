use std::panic::{AssertUnwindSafe, catch_unwind};

use super::silence::may_suffer;
use super::{CheckSpec, Finding, History, Verdict, registry, shortfall, show, sweep};
use crate::event::reasons;
use crate::units::Moment;

/// Runs every check of the experiment over its history, in the order of the file.
///
/// Where evidence is missing as a whole (a journal that was cut off, facts that could not be
/// recorded) nothing passes; where facts could not be recorded, nothing fails either. A check that
/// panics is inconclusive.
pub fn judge(history: &History) -> Vec<Finding> {
    let checks = &history.experiment().checks;
    checks.iter().map(|spec| judge_one(spec, history)).collect()
}

/// Runs one check.
pub(super) fn judge_one(spec: &CheckSpec, history: &History) -> Finding {
    let Some(kind) = registry::kind(&spec.kind) else {
        return Finding::inconclusive(
            spec,
            format!("there is no check of type `{}`", spec.kind),
            "judge the run with the version of chaosproxy that recorded it",
        );
    };
    sweep::judge(spec, history, |spec, history| {
        guarded(spec, history, kind.judge)
    })
}

fn guarded(
    spec: &CheckSpec,
    history: &History,
    judge: fn(&CheckSpec, &History) -> Finding,
) -> Finding {
    let judged = catch_unwind(AssertUnwindSafe(|| judge(spec, history)));
    let Ok(mut finding) = judged else {
        return Finding::inconclusive(
            spec,
            "the check itself crashed",
            "this is a bug in chaosproxy; please report it with the journal",
        );
    };
    explain(&mut finding, spec, history);
    shortfall::doubt(&mut finding, spec, history, |history| judge(spec, history));
    if let Some(missing) = history.incomplete() {
        // What was lost may be what a failure misses. A run that ended early lacks only what it
        // had not come to.
        let doubtful = finding.verdict == Verdict::Pass
            || (finding.verdict == Verdict::Fail && history.lacks_facts());
        if doubtful {
            finding.take_back(&missing, "run again; evidence of this run is missing");
        }
        finding.note(format!("evidence is incomplete: {missing}"));
    }
    unless_cut_short(&mut finding, history);
    finding
}

/// Takes a pass back whose time the run did not come to the end of. What failed all the same, failed.
fn unless_cut_short(finding: &mut Finding, history: &History) {
    let Some(early) = history.ended_early() else {
        return;
    };
    let mut evidence = finding.evidence.iter();
    // Without a window it is about the whole run.
    let whole = |window: Option<(_, Moment)>| window.is_some_and(|(_, to)| to < early);
    let is_whole = !finding.evidence.is_empty() && evidence.all(|one| whole(one.window));
    if finding.verdict == Verdict::Pass && !is_whole {
        let when = show::seconds(early.seconds_from(history.time_zero()));
        let help = "let the run reach the end of its schedule";
        finding.take_back(&format!("the run ended at {when}"), help);
    }
}

/// Adds to each piece of evidence why its observations were not ok, and to a finding that is no
/// pass the service whose end comes before it.
fn explain(finding: &mut Finding, spec: &CheckSpec, history: &History) {
    for evidence in &mut finding.evidence {
        if let Some(window) = evidence.window {
            let samples = |source| history.samples_in(source, window);
            let sources = evidence.sources.iter();
            evidence.reasons = reasons(sources.flat_map(|source| samples(source)));
        }
    }
    let ended = history.ended().into_iter();
    let mut ended = ended.filter(|one| may_suffer(spec, history, &one.service));
    if let (false, Some(first)) = (finding.verdict == Verdict::Pass, ended.next()) {
        let (service, how) = (&first.service, &first.how);
        let at = show::seconds(first.at.seconds_from(history.time_zero()));
        finding
            .notes
            .insert(0, format!("`{service}` ended at {at}: {how}"));
        finding.help = Some(format!(
            "see first why `{service}` ended: its log is beside the report"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::check::testing::{Story, ok, unanswered};
    use crate::check::{Check, Severity, SourceMap, kinds::health::Health};
    use crate::event::{Fact, Impact, Outcome, ServiceChange};

    fn spec(kind: &str) -> CheckSpec {
        CheckSpec {
            name: "it".into(),
            kind: kind.into(),
            severity: Severity::Error,
            params: json!({ "probe": "p", "during": "all", "that": ["p.timeouts == 0"] }),
            source: SourceMap::default(),
        }
    }

    fn story() -> Story {
        Story::until(40.0).samples(("p", "s"), 0.1, (0.0, 40.0), |_| (0.01, ok()))
    }

    #[test]
    fn every_check_is_judged_and_an_unknown_type_is_inconclusive() {
        let findings = judge(&story().history(Some(spec(Health::TYPE))));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].verdict, Verdict::Pass, "{findings:#?}");
        let unknown = judge(&story().history(Some(spec("horoscope"))));
        assert_eq!(unknown[0].verdict, Verdict::Inconclusive);
    }

    #[test]
    fn nothing_passes_where_evidence_is_missing() {
        let lost = story().fact(20.0, Fact::Lost { count: 3 });
        let findings = judge(&lost.history(Some(spec(Health::TYPE))));
        assert_eq!(findings[0].verdict, Verdict::Inconclusive);
        assert!(
            findings[0]
                .summary
                .starts_with("3 facts could not be recorded")
        );
        let cut = story().history(Some(spec(Health::TYPE))).truncated(true);
        assert_eq!(judge(&cut)[0].verdict, Verdict::Inconclusive);
        let holed = cut.truncated(false).missing(1);
        assert_eq!(judge(&holed)[0].verdict, Verdict::Inconclusive);
    }

    #[test]
    fn nothing_fails_for_want_of_facts_that_could_not_be_recorded() {
        let slow = || {
            Story::until(40.0).samples(("p", "s"), 0.1, (0.0, 40.0), |_| (1.0, Outcome::Timeout))
        };
        let failed = |story: Story| judge(&story.history(Some(spec(Health::TYPE))))[0].verdict;
        assert_eq!(failed(slow()), Verdict::Fail);
        let lost = slow().fact(20.0, Fact::Lost { count: 3 });
        assert_eq!(failed(lost), Verdict::Inconclusive);
        let slow = slow().history(Some(spec(Health::TYPE)));
        let cut = slow.truncated(true);
        assert_eq!(judge(&cut)[0].verdict, Verdict::Fail);
        let holed = cut.truncated(false).missing(2);
        let finding = judge(&holed).remove(0);
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        let start = "the journal lacks 2 lines; otherwise: ";
        assert!(finding.summary.starts_with(start), "{}", finding.summary);
    }

    fn ended(story: Story, service: &str) -> Story {
        let change = ServiceChange::Exited("exit code 7".into());
        let service = service.into();
        story.fact(20.0, Fact::Service { service, change })
    }

    /// A run with a probe that gets no answer from 20 s on.
    fn dead() -> Story {
        Story::until(40.0).samples(("p", "s"), 0.1, (0.0, 40.0), |when| {
            let [refused, _] = unanswered();
            (0.01, if when < 20.0 { ok() } else { refused })
        })
    }

    fn unwell() -> CheckSpec {
        let mut spec = spec(Health::TYPE);
        spec.params["that"] = json!(["p.error_rate == 0%"]);
        spec
    }

    #[test]
    fn evidence_says_why_observations_were_not_ok() {
        let finding = &judge(&dead().history(Some(unwell())))[0];
        assert_eq!(finding.verdict, Verdict::Fail);
        let reasons = &finding.evidence[0].reasons;
        assert_eq!(reasons.len(), 1);
        assert_eq!(reasons[0].count, 200);
        assert!(reasons[0].text.contains("connection reset by peer"));
        let well = &judge(&story().history(Some(unwell())))[0];
        assert_eq!(well.verdict, Verdict::Pass);
        assert_eq!(well.evidence[0].reasons, []);
    }

    #[test]
    fn what_did_not_pass_points_at_the_service_that_ended() {
        let judged = |story: Story| judge(&story.history(Some(unwell()))).remove(0);
        let finding = judged(ended(dead(), "s"));
        assert_eq!(finding.notes[0], "`s` ended at 10 s: exit code 7");
        assert!(finding.help.unwrap().contains("why `s` ended"));
        let other = judged(ended(dead(), "another"));
        assert!(!other.notes.iter().any(|note| note.contains("ended")));
        let well = judged(ended(story(), "s"));
        assert_eq!((well.verdict, well.notes.len()), (Verdict::Pass, 0));
    }

    #[test]
    fn a_service_that_ended_does_not_pass_for_doing_nothing() {
        let judged = |kind: &str, params: Value, story: Story| {
            let mut spec = spec(kind);
            spec.params = params;
            judge(&story.history(Some(spec))).remove(0)
        };
        let silent = json!({ "service": "s", "absent": ["panicked"] });
        let log = |story: Story| judged("log", silent.clone(), story);
        let line = || story().log("s", 15.0, "hello");
        assert_eq!(log(line()).verdict, Verdict::Pass);
        assert_eq!(log(ended(line(), "another")).verdict, Verdict::Pass);
        let finding = log(ended(line(), "s"));
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        assert!(finding.summary.starts_with("`s` ended at 10 s"));
        let said = json!({ "service": "s", "contains": ["hello"] });
        let said = judged("log", said, ended(line(), "s"));
        assert_eq!(said.verdict, Verdict::Pass, "it did say so");
    }

    #[test]
    fn a_window_whose_end_the_run_did_not_reach_may_fail_and_not_pass() {
        let interrupted = |outcome: fn() -> Outcome, during: &str| {
            let signal = "SIGINT".to_owned();
            let story = Story::until(30.0)
                .samples(("p", "s"), 0.1, (0.0, 30.0), |_| (0.01, outcome()))
                .fault("cut", 12.0, 14.0)
                .hit("cut", 12.0, 0, Impact::Withheld)
                .fact(29.9, Fact::Interrupted { signal });
            let mut spec = spec(Health::TYPE);
            spec.params["during"] = json!(during);
            judge(&story.history(Some(spec))).remove(0)
        };
        let finding = interrupted(ok, "all");
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        let start = "the run ended at 19.9 s; otherwise: ";
        assert!(finding.summary.starts_with(start), "{}", finding.summary);
        assert_eq!(
            interrupted(|| Outcome::Timeout, "all").verdict,
            Verdict::Fail
        );
        let after = interrupted(ok, "recovery:cut");
        assert_eq!(after.verdict, Verdict::Inconclusive);
        assert_eq!(interrupted(ok, "fault:cut").verdict, Verdict::Pass);
    }

    #[test]
    fn a_fault_that_failed_says_with_what() {
        let story = story().fault_of("f", "command", json!({}), 20.0, 21.0);
        let why = "run `sh`: it ended with exit code 7".to_owned();
        let failed = Fact::FaultFailed {
            fault: "f".into(),
            why,
        };
        let finding = judge(&story.fact(20.1, failed).history(Some(spec(Health::TYPE)))).remove(0);
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        let said = "fault `f` failed: run `sh`: it ended with exit code 7";
        assert!(finding.summary.starts_with(said), "{}", finding.summary);
    }

    #[test]
    fn a_check_that_crashes_is_inconclusive() {
        let history = story().history(None);
        let finding = guarded(&spec(Health::TYPE), &history, |_, _| panic!("planned"));
        assert_eq!(finding.verdict, Verdict::Inconclusive);
        assert_eq!(finding.summary, "the check itself crashed");
    }

    #[test]
    fn parameters_that_do_not_fit_are_inconclusive() {
        let mut odd = spec(Health::TYPE);
        odd.params = json!({ "probe": 3 });
        let findings = judge(&story().history(Some(odd)));
        assert_eq!(findings[0].verdict, Verdict::Inconclusive);
    }
}
