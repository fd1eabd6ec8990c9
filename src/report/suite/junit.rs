use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use super::{Run, Series, Suite, Weight};
use crate::report::junit::{RUN, document, test_suite};

/// The suite as JUnit's XML: one test suite per run, each as in the run's own `junit.xml`. A try
/// that was superseded is skipped, and so is a file that was not run. The flaky checks of a file
/// are named in the property `flaky`.
pub fn junit(suite: &Suite) -> String {
    document(suite.series.iter().flat_map(suites).collect())
}

fn suites(series: &Series) -> Vec<TestSuite> {
    let flaky: Vec<_> = series.flaky().into_iter().map(|one| one.check).collect();
    let of_run = |(label, weight, run): (String, Weight, &Run)| {
        let mut suite = test_suite(&run.report, &run.scenario);
        if !label.is_empty() {
            suite.name = format!("{} ({label})", run.report.scenario.title).into();
        }
        if !flaky.is_empty() {
            suite.add_property(("flaky", flaky.join(", ").as_str()));
        }
        if weight == Weight::Superseded {
            skip(&mut suite);
        }
        suite
    };
    let runs = series.runs().map(of_run);
    runs.chain(without_report(series)).collect()
}

fn skip(suite: &mut TestSuite) {
    for case in &mut suite.test_cases {
        case.status = TestCaseStatus::skipped();
        case.status.set_message("inconclusive, tried again");
    }
    (suite.skipped, suite.failures, suite.errors) = (suite.tests, 0, 0);
}

/// What stands for a run that left no report.
fn without_report(series: &Series) -> Option<TestSuite> {
    let status = match &series.error {
        Some(error) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(error.as_str());
            status
        }
        None if series.repetitions.is_empty() => {
            let mut status = TestCaseStatus::skipped();
            status.set_message("not run: the suite ended before");
            status
        }
        None => return None,
    };
    let mut case = TestCase::new(RUN, status);
    case.set_classname(series.path.as_str());
    let mut suite = TestSuite::new(series.path.as_str());
    suite.set_time(Duration::ZERO);
    suite.add_test_case(case);
    Some(suite)
}
