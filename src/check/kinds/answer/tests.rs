use serde_json::json;

use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Finding, Verdict};
use crate::event::{Impact, Outcome};

/// Ten reads a second; a fault from 20 s to 28 s.
fn story(outcome: impl Fn(f64) -> Outcome, digest: impl Fn(f64) -> &'static str) -> Story {
    Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("reads", "web"), 0.1, (0.0, 40.0), |when| {
            (0.01, outcome(when))
        })
        .digests("reads", digest)
}

fn judge(story: Story) -> Finding {
    let during = "fault:cut..recovery:cut";
    story.judge("answer", json!({ "source": "reads", "during": during }))
}

#[test]
fn answers_that_stay_the_same_pass_and_errors_are_no_answers() {
    let failing = |when: f64| {
        if (20.0..24.0).contains(&when) {
            not_ok()
        } else {
            ok()
        }
    };
    let finding = judge(story(failing, |_| "right"));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.summary, "160 answers as in the baseline");
}

#[test]
fn an_answer_from_the_wrong_place_fails() {
    let fallback = |when: f64| {
        if (22.0..25.0).contains(&when) {
            "wrong"
        } else {
            "right"
        }
    };
    let finding = judge(story(|_| ok(), fallback));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(
        finding.summary,
        "30 of 200 answers differ from the baseline, first at 12 s"
    );
    assert!((finding.figures["answers_different"] - 30.0).abs() < 1e-9);
}

#[test]
fn an_answer_that_the_fault_may_have_met_is_none_of_the_baseline() {
    let story = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("reads", "web"), 0.1, (0.0, 40.0), |when| {
            let slow = (19.5..22.0).contains(&when);
            (if slow { 1.0 } else { 0.01 }, ok())
        })
        .digests("reads", |when| {
            if (19.5..22.0).contains(&when) {
                "wrong"
            } else {
                "right"
            }
        });
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
}

#[test]
fn answers_that_always_change_decide_nothing() {
    let clock = |when: f64| {
        if when.fract() < 0.5 { "early" } else { "late" }
    };
    let finding = judge(story(|_| ok(), clock));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(finding.summary, "2 different answers in the baseline alone");
}

#[test]
fn without_answers_to_compare_nothing_is_decided() {
    let silent = |when: f64| if when >= 20.0 { not_ok() } else { ok() };
    let finding = judge(story(silent, |_| "right"));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(
        finding.summary,
        "0 answers to compare in the window, 20 needed"
    );
    let without = Story::until(40.0).samples(("reads", "web"), 0.1, (0.0, 40.0), |_| (0.01, ok()));
    let finding = without.judge("answer", json!({ "source": "reads" }));
    assert_eq!(
        finding.summary,
        "0 answers to compare in the baseline, 20 needed"
    );
}

#[test]
fn no_answers_at_all_prove_nothing_however_few_suffice() {
    let params = json!({ "source": "reads", "during": "fault:cut", "min_samples": 0 });
    let finding = story(|_| not_ok(), |_| "right").judge("answer", params);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "0 answers to compare in the baseline, 1 needed"
    );
}

#[test]
fn an_answer_that_was_too_long_to_compare_is_not_the_same() {
    let long_from = |from: f64, wrong: f64| {
        let digest = move |when: f64| match when {
            _ if (wrong..wrong + 1.0).contains(&when) => "wrong",
            _ if (from..from + 1.0).contains(&when) => "-",
            _ => "right",
        };
        judge(story(|_| ok(), digest))
    };
    let never = 100.0;
    assert_eq!(long_from(never, never).verdict, Verdict::Pass);
    for from in [5.0, 25.0] {
        let finding = long_from(from, never);
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        assert!(finding.summary.ends_with("but too long"), "{finding:#?}");
        assert_eq!(long_from(from, 22.0).verdict, Verdict::Fail);
    }
    let all = judge(story(|_| ok(), |_| "-"));
    assert_eq!(all.verdict, Verdict::Inconclusive);
    assert!(all.summary.ends_with("20 needed: too long"), "{all:#?}");
}
