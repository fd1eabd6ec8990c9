use serde_json::{Value, json};

use crate::check::baseline::{Baseline, Machine, RunFigures, figures};
use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Finding, Verdict};
use crate::event::{Fact, Outcome};

fn story(read: impl Fn(f64) -> (f64, Outcome)) -> Story {
    Story::until(40.0).samples(("reads", "web"), 0.05, (0.0, 40.0), read)
}

fn steady(latency: f64) -> Story {
    story(move |_| (latency, ok()))
}

fn machine(cores: &str) -> Machine {
    [("cores".to_owned(), cores.to_owned())].into()
}

/// The file of runs with these latencies.
fn stored(latencies: &[f64]) -> String {
    let run = |latency: &f64| RunFigures {
        run: uuid::Uuid::nil(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        scenario: "s.toml".into(),
        machine: machine("2"),
        figures: figures(&steady(*latency).history(None)),
    };
    Baseline::of(latencies.iter().map(run).collect())
        .unwrap()
        .text()
}

fn usual() -> String {
    stored(&[0.100, 0.101, 0.102])
}

fn judge_on(cores: &str, story: Story, text: Result<String, String>, more: Value) -> Finding {
    let Value::Object(more) = more else {
        panic!("parameters are an object")
    };
    let mut params = json!({ "baseline": "base/reads.json", "figures": ["reads.p95_s"] });
    params.as_object_mut().unwrap().extend(more);
    let stored = Fact::StoredBaseline {
        check: "it".into(),
        text,
        machine: machine(cores),
    };
    story.fact(0.0, stored).judge("regression", params)
}

fn judge(story: Story, text: String) -> Finding {
    judge_on("2", story, Ok(text), json!({}))
}

#[test]
fn a_run_as_those_before_it_passes() {
    let finding = judge(steady(0.103), usual());
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.evidence[0].samples, 600);
    assert!((finding.figures["reads.p95_s.ratio"] - 103.0 / 101.0).abs() < 1e-3);
    assert!(
        finding.notes[0].contains("3 runs in base/reads.json"),
        "{finding:#?}"
    );
}

#[test]
fn a_run_that_is_slower_fails_and_says_by_how_much() {
    let finding = judge(steady(0.130), usual());
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let expected = "`reads.p95_s` 130 ms, 28.71 % more than 101 ms (95 % bounds of the change ";
    assert!(finding.summary.starts_with(expected), "{}", finding.summary);
    assert!(
        finding
            .help
            .unwrap()
            .contains("baseline save DIR --to base/reads.json")
    );
}

#[test]
fn a_threshold_and_a_floor_can_be_set() {
    let of = |more| judge_on("2", steady(0.130), Ok(usual()), more).verdict;
    assert_eq!(of(json!({ "threshold": "50%" })), Verdict::Pass);
    assert_eq!(of(json!({ "floor": "50ms" })), Verdict::Pass);
    assert_eq!(of(json!({ "threshold": "20%" })), Verdict::Fail);
    assert_eq!(of(json!({ "threshold": "27%" })), Verdict::Inconclusive);
}

#[test]
fn runs_that_differ_too_much_decide_nothing() {
    let finding = judge(steady(0.115), stored(&[0.08, 0.1, 0.12]));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding
            .help
            .unwrap()
            .contains("baseline compare DIR --with base/reads.json")
    );
}

#[test]
fn without_a_baseline_the_command_that_makes_one_is_given() {
    let missing = judge_on("2", steady(0.1), Err("No such file".into()), json!({}));
    let malformed = judge(steady(0.1), "[]".into());
    let unread = steady(0.1).judge(
        "regression",
        json!({ "baseline": "base/reads.json", "figures": ["reads.p95_s"] }),
    );
    for finding in [missing, malformed, unread] {
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        assert!(finding.summary.contains("base/reads.json"), "{finding:#?}");
        let help = finding.help.unwrap();
        assert!(
            help.contains("`chaosproxy baseline save DIR --to base/reads.json`"),
            "{help}"
        );
    }
}

#[test]
fn times_of_another_machine_are_not_compared_unless_they_are_ratios() {
    let finding = judge_on("8", steady(0.101), Ok(usual()), json!({}));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding.summary.ends_with("another machine: cores 2 and 8"),
        "{}",
        finding.summary
    );
    let ratio = json!({ "relative_to": "reads.p50_s" });
    let finding = judge_on("8", steady(0.300), Ok(usual()), ratio);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn failures_where_there_were_none_fail() {
    let errors = || json!({ "figures": ["reads.error_rate"] });
    let one_in_fifty = story(|when| {
        let fails = (when * 20.0).round() % 50.0 < 0.5;
        (0.1, if fails { not_ok() } else { ok() })
    });
    let finding = judge_on("2", one_in_fifty, Ok(usual()), errors());
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.contains("2 %, was 0 %"),
        "{}",
        finding.summary
    );
    assert_eq!(
        judge_on("2", steady(0.1), Ok(usual()), errors()).verdict,
        Verdict::Pass
    );
}

#[test]
fn one_failure_where_there_were_none_may_be_chance() {
    let one = story(|when| {
        let fails = (when - 20.0).abs() < 0.01;
        (0.1, if fails { not_ok() } else { ok() })
    });
    let finding = judge_on(
        "2",
        one,
        Ok(usual()),
        json!({ "figures": ["reads.error_rate"] }),
    );
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "`reads.error_rate` 0.17 %, was 0 %, which may be chance"
    );
}

#[test]
fn a_starved_machine_excuses_what_is_slower_and_nothing_else() {
    let slower = judge(steady(0.130).busy(0.99), usual());
    assert_eq!(slower.verdict, Verdict::Inconclusive);
    assert!(
        slower.summary.contains("the machine was 99 % busy"),
        "{}",
        slower.summary
    );
    assert_eq!(
        judge(steady(0.101).busy(0.99), usual()).verdict,
        Verdict::Pass
    );
}

#[test]
fn what_was_never_measured_is_no_pass() {
    let more = json!({ "figures": ["reads.p95_s", "reads.p95_s@fault:cut", "gone.p95_s"] });
    let finding = judge_on("2", steady(0.101), Ok(usual()), more);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(finding.evidence.len(), 3);
}
