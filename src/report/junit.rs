use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::diagnostics::diagnostic;
use super::{CheckRecord, CheckVerdict, Report};
use crate::check::Severity;
use crate::diag::{self, Source, Style};

/// The test case that stands for a run that did not go to its end.
pub(super) const RUN: &str = "run";

/// The report as JUnit's XML: one test case per check, or per length of a sweep. A failure is a
/// `<failure>`; inconclusive and aborted checks are `<error>`, and so is the run itself if it did
/// not go to its end. A failure of severity warning passes and is told in `<system-out>`.
pub fn junit(report: &Report, scenario_text: &str) -> String {
    document(vec![test_suite(report, scenario_text)])
}

/// The test suite of one run.
pub(super) fn test_suite(report: &Report, scenario_text: &str) -> TestSuite {
    let source = Source {
        name: report.scenario.path.clone(),
        text: scenario_text.into(),
    };
    let mut suite = TestSuite::new(report.scenario.title.as_str());
    suite.set_time(seconds(report.duration_s));
    for (name, value) in [
        ("run", report.run.to_string()),
        ("seed", report.seed.to_string()),
        ("started_at", report.started_at.to_string()),
        ("outcome", report.outcome.word().to_owned()),
        ("exit_code", report.exit_code.to_string()),
    ] {
        suite.add_property((name, value.as_str()));
    }
    suite.add_test_cases(unfinished(report));
    suite.add_test_cases(
        report
            .checks
            .iter()
            .flat_map(|check| cases(check, report, &source)),
    );
    suite
}

/// A document of these suites.
pub(super) fn document(suites: Vec<TestSuite>) -> String {
    let mut document = quick_junit::Report::new("chaosproxy");
    document.set_time(suites.iter().filter_map(|suite| suite.time).sum());
    document.add_test_suites(suites);
    let mut text = document
        .to_string()
        .expect("writing XML into memory does not fail");
    text.retain(is_xml);
    text
}

/// Whether XML 1.0 has this character; a document with any other is refused as a whole.
fn is_xml(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => c >= ' ',
    }
}

/// A run that ended early must not look green where no check was decided.
fn unfinished(report: &Report) -> Option<TestCase> {
    let reason = report.reason.as_ref()?;
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_message(reason.as_str());
    status.set_type(report.outcome.word());
    let mut case = TestCase::new(RUN, status);
    case.set_classname(report.scenario.path.as_str());
    Some(case)
}

/// One test case per check, or one for each length of a sweep; both if no length tells of what the
/// check came to, because it was another fault's doing.
fn cases(check: &CheckRecord, report: &Report, source: &Source) -> Vec<TestCase> {
    let is_explained = check.lengths.iter().any(|one| one.verdict == check.verdict);
    let whole = (!is_explained).then(|| {
        let rendered = diagnostic(check);
        let rendered = rendered.map(|message| diag::render(&[message], source, Style::Plain));
        case(check, rendered, report)
    });
    let lengths = check.lengths.iter().map(|one| {
        let part = CheckRecord {
            name: format!("{}[{} {}]", check.name, one.fault, one.length).into(),
            verdict: one.verdict,
            summary: one.summary.clone(),
            figures: one.figures.clone(),
            ..check.clone()
        };
        let message = (one.verdict != CheckVerdict::Pass).then(|| one.summary.clone());
        case(&part, message, report)
    });
    whole.into_iter().chain(lengths).collect()
}

fn case(check: &CheckRecord, rendered: Option<String>, report: &Report) -> TestCase {
    let warning = check.severity == Severity::Warning;
    let mut status = match check.verdict {
        CheckVerdict::Pass => TestCaseStatus::success(),
        _ if warning => TestCaseStatus::success(),
        CheckVerdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        CheckVerdict::Inconclusive | CheckVerdict::Aborted => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    status.set_message(check.summary.as_str());
    status.set_type(check.verdict.word());
    if let Some(text) = &rendered {
        status.set_description(text.trim_end());
    }
    let mut case = TestCase::new(&*check.name, status);
    case.set_classname(report.scenario.path.as_str());
    case.add_property(("type", check.kind.as_str()));
    case.add_property(("summary", check.summary.as_str()));
    for (name, figure) in &check.figures {
        case.add_property((name.as_str(), figure.to_string().as_str()));
    }
    if let (true, Some(text)) = (warning, rendered) {
        case.set_system_out(text.trim_end());
    }
    case
}

/// Zero for what is no length of time.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
