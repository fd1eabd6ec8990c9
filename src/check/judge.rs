use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{CheckSpec, Finding, History, Verdict, registry, sweep};

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
    if let Some(missing) = history.incomplete() {
        // What was lost may be what a failure misses. A run that ended early lacks only what it
        // had not come to.
        let doubtful = finding.verdict == Verdict::Pass
            || (finding.verdict == Verdict::Fail && history.lost() > 0);
        if doubtful {
            finding.verdict = Verdict::Inconclusive;
            finding.help = Some("run again; evidence of this run is missing".to_owned());
            finding.summary = format!("{missing}; otherwise: {}", finding.summary);
        }
        finding.note(format!("evidence is incomplete: {missing}"));
    }
    finding
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::check::testing::{Story, ok};
    use crate::check::{Check, Severity, SourceMap, kinds::health::Health};
    use crate::event::{Fact, Outcome};

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
        let cut = slow().history(Some(spec(Health::TYPE))).truncated(true);
        assert_eq!(judge(&cut)[0].verdict, Verdict::Fail);
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
