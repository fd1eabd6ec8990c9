use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{CheckSpec, Finding, History, Verdict, registry};

/// Runs every check of the experiment over its history, in the order of the file.
///
/// Where evidence is missing as a whole (a journal that was cut off, facts that could not be
/// recorded) nothing passes. A check that panics is inconclusive.
pub fn judge(history: &History) -> Vec<Finding> {
    let checks = &history.experiment().checks;
    checks.iter().map(|spec| judge_one(spec, history)).collect()
}

fn judge_one(spec: &CheckSpec, history: &History) -> Finding {
    let Some(kind) = registry::kind(&spec.kind) else {
        return Finding::inconclusive(
            spec,
            format!("there is no check of type `{}`", spec.kind),
            "judge the run with the version of chaosproxy that recorded it",
        );
    };
    guarded(spec, history, kind.judge)
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
        if finding.verdict == Verdict::Pass {
            finding.verdict = Verdict::Inconclusive;
            finding.help = Some("run again; evidence of this run is missing".to_owned());
            finding.summary = format!("{missing}; otherwise: {}", finding.summary);
        }
        finding.note(format!("evidence is incomplete: {missing}"));
    }
    finding
}
