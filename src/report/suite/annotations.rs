use super::{Run, Series, Suite};
use crate::check::Verdict;
use crate::diag::{Severity, annotation};
use crate::report::diagnostics::why;
use crate::report::{CheckRecord, CheckVerdict, Outcome, Place};

/// The suite as workflow commands of GitHub Actions, one a line: an error for each failed and each
/// flaky check and for each run that did not go to its end, a warning for each check that is
/// inconclusive or of severity warning. They point into the scenario files.
pub fn annotations(suite: &Suite) -> String {
    let mut seen: Vec<(String, String)> = Vec::new();
    for series in &suite.series {
        for remark in remarks(series) {
            let place = remark.place;
            let place = place.map_or((1, 1), |place| (place.line, place.column));
            let command = |message: &str| {
                let title = Some(&*remark.title);
                annotation(remark.level, &series.path, place, title, message)
            };
            // The same check in another repetition adds nothing at the same place.
            let head = command("");
            if seen.iter().all(|(known, _)| *known != head) {
                seen.push((head, command(&remark.message)));
            }
        }
    }
    seen.into_iter().map(|(_, command)| command).collect()
}

struct Remark {
    level: Severity,
    place: Option<Place>,
    title: String,
    message: String,
}

fn remarks(series: &Series) -> Vec<Remark> {
    let error = series.error.iter().map(|message| Remark {
        level: Severity::Error,
        place: None,
        title: Outcome::Error.word().to_owned(),
        message: message.clone(),
    });
    let flaky = series.flaky().into_iter().map(|one| Remark {
        level: match one.severity {
            crate::check::Severity::Error => Severity::Error,
            crate::check::Severity::Warning => Severity::Warning,
        },
        place: series.counted().find_map(|run| {
            let mut checks = run.report.checks.iter();
            place(checks.find(|check| check.name == one.check)?)
        }),
        title: format!("check `{}` is flaky", one.check),
        message: one.tally(),
    });
    let of_runs = series.counted().flat_map(of_run);
    error.chain(flaky).chain(of_runs).collect()
}

fn of_run(run: &Run) -> Vec<Remark> {
    let report = &run.report;
    let refused = report.outcome == Outcome::NotBegun;
    let gate = report.steady_state.last().filter(|_| refused);
    let missed = gate.and_then(|gate| gate.conditions.iter().find(|one| !one.met));
    let early = report.reason.iter().map(|reason| Remark {
        level: Severity::Error,
        place: missed.and_then(|condition| condition.place),
        title: format!("run {}", report.outcome.word()),
        message: match missed {
            Some(condition) => {
                let why = why(&condition.reasons).map(|why| format!(", {why}"));
                format!(
                    "{reason}: {}{}",
                    condition.measured,
                    why.unwrap_or_default()
                )
            }
            None => reason.clone(),
        },
    });
    early
        .chain(report.checks.iter().filter_map(of_check))
        .collect()
}

fn of_check(check: &CheckRecord) -> Option<Remark> {
    use crate::check::Severity::{Error, Warning};
    let (level, what) = match (check.verdict, check.severity) {
        (CheckVerdict::Pass | CheckVerdict::Aborted, _) => return None,
        (CheckVerdict::Fail, Error) => (Severity::Error, "failed"),
        (CheckVerdict::Fail, Warning) => (Severity::Warning, "failed"),
        (CheckVerdict::Inconclusive, _) => (Severity::Warning, "is inconclusive"),
    };
    let help = check.help.iter().map(|help| format!("\n{help}"));
    Some(Remark {
        level,
        place: place(check),
        title: format!("check `{}` {what}", check.name),
        message: format!("{}{}", check.summary, help.collect::<String>()),
    })
}

/// Where the scenario demands what did not hold, or else what was looked at, or else the check.
fn place(check: &CheckRecord) -> Option<Place> {
    let mut places: Vec<_> = check.evidence.iter().collect();
    places.sort_by_key(|one| one.verdict == Verdict::Pass);
    let demanded = places.iter().find_map(|one| one.place);
    demanded.or(check.place)
}
