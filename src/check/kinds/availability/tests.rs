use serde_json::{Value, json};

use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Finding, Verdict};
use crate::event::{Impact, Outcome};

/// A fault from 20 s to 28 s of 30 s of schedule; 50 reads a second, of which those between `from`
/// and `to` fail.
fn outage(from: f64, to: f64) -> Story {
    reads(move |when| {
        if (from..to).contains(&when) {
            not_ok()
        } else {
            ok()
        }
    })
}

fn reads(outcome: impl Fn(f64) -> Outcome) -> Story {
    Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("reads", "web"), 0.02, (0.0, 40.0), |when| {
            (0.01, outcome(when))
        })
}

fn judge(story: Story, demand: &Value) -> Finding {
    let mut params = json!({ "source": "reads" });
    params
        .as_object_mut()
        .unwrap()
        .extend(demand.as_object().unwrap().clone());
    story.judge("availability", params)
}

#[test]
fn the_share_is_judged_by_its_bounds() {
    // 1,500 observations; an outage of 3 s is 10 % of them.
    let verdict = |target: &str| {
        let finding = judge(outage(20.0, 23.0), &json!({ "target": target }));
        finding.verdict
    };
    assert_eq!(verdict("85%"), Verdict::Pass);
    assert_eq!(verdict("90%"), Verdict::Inconclusive);
    assert_eq!(verdict("99.9%"), Verdict::Fail);
}

#[test]
fn the_worst_slot_is_found() {
    // One request in four fails between 25 s and 26 s.
    let quarter = |when: f64| {
        let fails = (25.0..26.0).contains(&when) && (when * 50.0).round() % 4.0 < 0.5;
        if fails { not_ok() } else { ok() }
    };
    let finding = judge(reads(quarter), &json!({ "worst": "90%" }));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.ends_with("ok in the worst slot, at 15 s"),
        "{}",
        finding.summary
    );
    assert!((finding.figures["bad_slots"] - 1.0).abs() < 1e-9);
    assert_eq!(
        judge(reads(quarter), &json!({ "worst": "60%" })).verdict,
        Verdict::Pass
    );
}

#[test]
fn an_outage_may_not_be_much_longer_than_its_fault() {
    let verdict = |to: f64| judge(outage(20.0, to), &json!({ "amplification": 1.5 })).verdict;
    assert_eq!(verdict(28.0), Verdict::Pass);
    assert_eq!(verdict(32.0), Verdict::Pass);
    // 13 slots, of which two may be bad only in part: between 11 s and 13 s of 8 s.
    assert_eq!(verdict(32.5), Verdict::Inconclusive);
    let finding = judge(outage(20.0, 37.0), &json!({ "amplification": 1.5 }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(
        finding.summary,
        "unavailable for 17 s of 8 s of faults, 2.12 times as long"
    );
}

#[test]
fn faults_that_overlap_are_counted_once() {
    let story = outage(20.0, 28.0).fault("slow", 22.0, 26.0);
    let finding = judge(story, &json!({ "amplification": 1.5 }));
    assert!(
        (finding.figures["amplification"] - 1.0).abs() < 0.01,
        "{finding:#?}"
    );
}

#[test]
fn slots_without_demand_are_left_out_and_counted() {
    let story = Story::until(40.0).samples(("reads", "web"), 0.02, (10.0, 25.0), |_| (0.01, ok()));
    let finding = judge(story, &json!({ "worst": "99%" }));
    assert_eq!(finding.verdict, Verdict::Pass);
    assert!((finding.figures["slots"] - 15.0).abs() < 1e-9);
    assert_eq!(finding.notes, ["15 slots without an observation, left out"]);
}

#[test]
fn without_observations_or_faults_nothing_is_decided() {
    for demand in [
        json!({ "target": "99%" }),
        json!({ "worst": "99%" }),
        json!({ "amplification": 1.5 }),
    ] {
        let finding = judge(Story::until(40.0), &demand);
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{demand}");
    }
    let calm = Story::until(40.0).samples(("reads", "web"), 0.02, (0.0, 40.0), |_| (0.01, ok()));
    let finding = judge(calm, &json!({ "amplification": 1.5 }));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
}

#[test]
fn what_is_left_at_the_end_of_the_window_is_part_of_the_last_slot() {
    // 30.3 s: the last 0.3 s hold 15 observations.
    let until = |fails: fn(f64) -> bool| {
        Story::until(40.3).samples(("reads", "web"), 0.02, (0.0, 41.0), move |when| {
            (0.01, if fails(when) { not_ok() } else { ok() })
        })
    };
    let one = judge(
        until(|when| (40.19..40.21).contains(&when)),
        &json!({ "worst": "95%" }),
    );
    assert_eq!(one.verdict, Verdict::Pass, "{one:#?}");
    assert!((one.figures["slots"] - 30.0).abs() < 1e-9);
    let all = judge(until(|when| when > 40.0), &json!({ "worst": "95%" }));
    assert_eq!(all.verdict, Verdict::Fail, "{all:#?}");
    assert!(all.summary.ends_with("at 29 s"), "{}", all.summary);
}

#[test]
fn a_slot_at_its_limit_is_good_and_a_share_at_its_limit_passes() {
    // One of fifty fails between 25 s and 26 s: 98 %.
    let one = |when: f64| {
        if (25.49..25.51).contains(&when) {
            not_ok()
        } else {
            ok()
        }
    };
    let finding = judge(reads(one), &json!({ "worst": "98%", "good": "98%" }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!(finding.figures["bad_slots"].abs() < 1e-9);
    let finding = judge(reads(one), &json!({ "worst": "98.1%", "good": "98.1%" }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!((finding.figures["bad_slots"] - 1.0).abs() < 1e-9);
}

#[test]
fn few_observations_do_not_show_a_share() {
    let story = Story::until(40.0).samples(("reads", "web"), 0.2, (0.0, 40.0), |_| (0.01, ok()));
    let finding = judge(story, &json!({ "target": "90%" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding.summary.contains("300 needed"),
        "{}",
        finding.summary
    );
}

#[test]
fn an_outage_without_a_fault_is_no_multiple_of_one() {
    let story = Story::until(40.0).samples(("reads", "web"), 0.02, (0.0, 40.0), |when| {
        (0.01, if when < 20.0 { not_ok() } else { ok() })
    });
    let finding = judge(story, &json!({ "amplification": 1.5 }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn only_the_part_of_a_fault_within_the_window_counts() {
    // Of the slow path only the 2 s under the cut.
    let story = outage(20.0, 28.0).fault("slow", 26.0, 36.0);
    let finding = judge(
        story,
        &json!({ "amplification": 1.5, "during": "fault:cut" }),
    );
    assert!(
        (finding.figures["amplification"] - 1.0).abs() < 0.01,
        "{finding:#?}"
    );
}

#[test]
fn an_outage_that_nobody_met_amplifies_nothing() {
    let demand = json!({ "amplification": 1.5 });
    let met = outage(20.0, 28.0).fault("other", 29.0, 29.5);
    let finding = judge(met, &demand);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding.summary.starts_with("fault `other` touched 0"),
        "{}",
        finding.summary
    );
    let elsewhere = outage(20.0, 28.0).fault("other", 29.0, 29.5);
    let demand = json!({ "amplification": 1.5, "during": "fault:cut" });
    let finding = judge(elsewhere, &demand);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn an_outage_that_is_seldom_asked_about_is_not_shown_to_be_short() {
    // One read in 5 s, all of which fail from the fault on.
    let seldom = |slot: &str, most: f64| {
        let outcome = |when: f64| (0.01, if when < 20.0 { ok() } else { not_ok() });
        let story = Story::until(60.0)
            .fault("cut", 20.0, 28.0)
            .hit("cut", 20.0, 0, Impact::Withheld)
            .samples(("reads", "web"), 5.0, (0.0, 60.0), outcome);
        judge(story, &json!({ "amplification": most, "slot": slot }))
    };
    let finding = seldom("1s", 1.5);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    let words = ", but nothing was asked for ";
    assert!(finding.summary.contains(words), "{}", finding.summary);
    assert_eq!(seldom("100ms", 1.5).verdict, Verdict::Inconclusive);
    assert_eq!(seldom("1s", 6.0).verdict, Verdict::Pass);
}
