use super::{Run, Series, Suite};
use crate::check::Verdict;
use crate::report::{CheckRecord, CheckVerdict, Outcome, Place};

/// The suite as workflow commands of GitHub Actions, one a line: an error for each failed and each
/// flaky check and for each run that did not go to its end, a warning for each check that is
/// inconclusive or of severity warning. They point into the scenario files.
pub fn annotations(suite: &Suite) -> String {
    let mut seen: Vec<(String, String)> = Vec::new();
    for series in &suite.series {
        for remark in remarks(series) {
            let place = remark.place;
            let (line, column) = place.map_or((1, 1), |place| (place.line, place.column));
            let head = format!(
                "::{} file={},line={line},col={column},title={}",
                remark.level,
                property(&series.path),
                property(&remark.title),
            );
            // The same check in another repetition adds nothing at the same place.
            if seen.iter().all(|(known, _)| *known != head) {
                seen.push((head, data(&remark.message)));
            }
        }
    }
    let lines = seen.iter();
    let lines = lines.map(|(head, message)| format!("{head}::{message}\n"));
    lines.collect()
}

struct Remark {
    level: &'static str,
    place: Option<Place>,
    title: String,
    message: String,
}

fn remarks(series: &Series) -> Vec<Remark> {
    let error = series.error.iter().map(|message| Remark {
        level: "error",
        place: None,
        title: Outcome::Error.word().to_owned(),
        message: message.clone(),
    });
    let flaky = series.flaky().into_iter().map(|one| Remark {
        level: match one.severity {
            crate::check::Severity::Error => "error",
            crate::check::Severity::Warning => "warning",
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
        level: "error",
        place: missed.and_then(|condition| condition.place),
        title: format!("run {}", report.outcome.word()),
        message: match missed {
            Some(condition) => format!("{reason}: {}", condition.measured),
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
        (CheckVerdict::Fail, Error) => ("error", "failed"),
        (CheckVerdict::Fail, Warning) => ("warning", "failed"),
        (CheckVerdict::Inconclusive, _) => ("warning", "is inconclusive"),
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

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_a_command_early_is_escaped() {
        assert_eq!(data("50 % of a\r\nb: c, d"), "50 %25 of a%0D%0Ab: c, d");
        assert_eq!(property("a:b,c\n%"), "a%3Ab%2Cc%0A%25");
    }
}
