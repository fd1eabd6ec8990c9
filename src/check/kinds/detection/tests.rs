use serde_json::json;

use crate::check::testing::{Story, at, not_ok, ok, unanswered};
use crate::check::{Finding, Verdict};
use crate::event::{ClosedBy, Fact, Impact, Outcome, Phase};

/// Writes that hang under the fault, a health probe as told, a fault from 20 s to 28 s.
fn story(health: impl Fn(f64) -> (f64, Outcome)) -> Story {
    let hang = |when: f64| {
        if (20.0..28.0).contains(&when) {
            (3.0, Outcome::Timeout)
        } else {
            (0.01, ok())
        }
    };
    Story::until(40.0)
        .session(0, 1.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.05, 0, Impact::Withheld)
        .samples(("writes", "codebase"), 0.05, (0.0, 40.0), hang)
        .samples(("health", "codebase"), 0.1, (0.0, 40.0), health)
}

fn degraded_after(moment: f64) -> impl Fn(f64) -> (f64, Outcome) {
    move |when| {
        if (moment..28.0).contains(&when) {
            (0.002, not_ok())
        } else {
            (0.002, ok())
        }
    }
}

fn hangs(when: f64) -> (f64, Outcome) {
    if (20.0..28.0).contains(&when) {
        (1.0, Outcome::Timeout)
    } else {
        (0.002, ok())
    }
}

fn judge(story: Story, signals: &serde_json::Value) -> Finding {
    let mut params = json!({ "service": "codebase", "fault": "cut", "within": "5s" });
    for (key, value) in signals.as_object().unwrap() {
        params[key] = value.clone();
    }
    story.judge("detection", params)
}

fn both() -> serde_json::Value {
    json!({ "all_of": [{ "probe": "health", "answers": "not_ok" }, { "log": "(?i)database.*lost" }] })
}

#[test]
fn on_a_starved_machine_only_a_detection_is_believed() {
    let late = || story(degraded_after(27.0)).log("codebase", 27.0, "Database connection lost");
    let finding = judge(late().busy(0.99), &both());
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.contains("the machine was 99 % busy"));
    let at_leisure = judge(late().busy(0.9), &both());
    assert_eq!(at_leisure.verdict, Verdict::Fail, "{at_leisure:#?}");
    let in_time = story(degraded_after(21.5)).log("codebase", 22.0, "Database connection lost");
    assert_eq!(judge(in_time.busy(0.99), &both()).verdict, Verdict::Pass);
}

#[test]
fn a_degraded_answer_and_a_log_line_in_time_pass() {
    let story = story(degraded_after(21.5)).log("codebase", 22.05, "Database connection lost");
    let finding = judge(story, &both());
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.summary, "detected after 2 s (bound 5 s)");
    assert!((finding.figures["signal_0_s"] - 1.452).abs() < 0.01);
    assert!((finding.figures["impact_after_injection_s"] - 0.05).abs() < 1e-6);
}

#[test]
fn a_health_endpoint_that_is_gone_is_no_detection_and_none_after_it_was_gone_before() {
    let gone = |from: f64, back: f64| {
        move |when: f64| match when {
            when if when < from || when >= 28.0 => (0.002, ok()),
            when if when < back => (0.001, unanswered()[0].clone()),
            _ => (0.002, not_ok()),
        }
    };
    let signal = json!({ "any_of": [{ "probe": "health", "answers": "not_ok" }] });
    let finding = judge(story(gone(20.0, 28.0)), &signal);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let words = "`health` did not answer";
    assert!(finding.summary.ends_with(words), "{}", finding.summary);
    let finding = judge(story(gone(18.0, 21.0)), &signal);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    let words = "as before the fault";
    assert!(finding.summary.ends_with(words), "{}", finding.summary);
}

#[test]
fn a_health_endpoint_that_hangs_is_impact_and_not_detection() {
    let finding = judge(story(hangs), &both());
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "not detected within 5 s of the first impact: `health` hung, the log stayed silent"
    );
    assert_eq!(
        finding.help.as_deref(),
        Some(
            "requests hang until the database answers; give each query a client-side deadline below 5 s"
        )
    );
}

#[test]
fn a_signal_after_the_bound_fails_even_though_it_came() {
    let finding = judge(
        story(degraded_after(26.0)),
        &json!({ "any_of": [{ "probe": "health" }] }),
    );
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.contains("`health` not ok after 5.95 s"),
        "{}",
        finding.summary
    );
}

#[test]
fn any_of_needs_one_signal_and_all_of_needs_each() {
    let signals = json!([{ "probe": "health" }, { "log": "lost" }]);
    let any = judge(story(degraded_after(21.0)), &json!({ "any_of": signals }));
    let all = judge(story(degraded_after(21.0)), &json!({ "all_of": signals }));
    assert_eq!((any.verdict, all.verdict), (Verdict::Pass, Verdict::Fail));
}

#[test]
fn a_fault_that_begins_beside_it_hides_no_signal() {
    let story = story(degraded_after(21.5))
        .fault("other", 20.0, 28.0)
        .fault("third", 21.0, 22.0)
        .log("codebase", 22.05, "Database connection lost");
    let finding = judge(story, &both());
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn only_the_close_of_a_touched_connection_is_a_signal() {
    let signal = json!({ "any_of": [{ "closes": "db" }] });
    let lazily_opened = story(hangs).session(1, 21.0);
    assert_eq!(judge(lazily_opened, &signal).verdict, Verdict::Fail);
    let untouched = story(hangs)
        .session(1, 2.0)
        .closed(1, 21.0, ClosedBy::Client);
    assert_eq!(judge(untouched, &signal).verdict, Verdict::Fail);
    let by_the_fault = story(hangs).closed(0, 21.0, ClosedBy::Fault("cut".into()));
    assert_eq!(judge(by_the_fault, &signal).verdict, Verdict::Fail);
    let dropped = || story(hangs).closed(0, 22.05, ClosedBy::Client);
    let held_back = || story(hangs).left(0, 22.05, 28.0);
    for story in [dropped(), held_back()] {
        let finding = judge(story, &signal);
        assert_eq!(finding.verdict, Verdict::Pass);
        assert!((finding.figures["detection_s"] - 2.0).abs() < 1e-6);
    }
}

#[test]
fn a_fault_that_was_healed_before_the_bound_decides_nothing() {
    let story = Story::until(40.0)
        .fault("cut", 20.0, 23.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("writes", "codebase"), 0.05, (0.0, 40.0), |_| (0.01, ok()))
        .samples(("health", "codebase"), 0.1, (0.0, 40.0), |_| (0.01, ok()));
    let finding = judge(story, &json!({ "any_of": [{ "probe": "health" }] }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn without_victims_or_demand_nothing_is_decided() {
    let signal = json!({ "any_of": [{ "probe": "health" }] });
    let quiet = |_| (0.01, ok());
    let no_victim = Story::until(40.0).fault("cut", 20.0, 28.0).samples(
        ("health", "codebase"),
        0.1,
        (0.0, 40.0),
        quiet,
    );
    let finding = judge(no_victim, &signal);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(
        finding.summary,
        "fault `cut` touched 0 connections, at least 1 needed"
    );
    let no_demand = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("health", "codebase"), 0.1, (0.0, 40.0), quiet);
    assert_eq!(judge(no_demand, &signal).verdict, Verdict::Inconclusive);
}

#[test]
fn a_service_that_was_unwell_before_has_not_noticed_the_fault() {
    let finding = judge(
        story(|_| (0.002, not_ok())),
        &json!({ "any_of": [{ "probe": "health" }] }),
    );
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding
            .notes
            .iter()
            .any(|note| note == "`health` failed 100 % of the baseline")
    );
}

#[test]
fn the_impact_of_a_closed_connection_is_the_next_request() {
    let story = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Closed)
        .samples(("writes", "codebase"), 1.0, (20.6, 28.0), |_| {
            (0.01, not_ok())
        })
        .samples(
            ("health", "codebase"),
            0.1,
            (0.0, 40.0),
            degraded_after(24.0),
        );
    let finding = judge(story, &json!({ "any_of": [{ "probe": "health" }] }));
    assert_eq!(finding.verdict, Verdict::Pass);
    assert!((finding.figures["impact_after_injection_s"] - 0.6).abs() < 1e-6);
    assert_eq!(finding.evidence[0].window, Some((at(20.0), at(28.0))));
}

#[test]
fn everything_holds_ten_times_faster() {
    let story = |from: f64| {
        Story::until(40.0)
            .fault("cut", 20.0, 20.8)
            .hit("cut", 20.005, 0, Impact::Withheld)
            .samples(("writes", "codebase"), 0.005, (0.0, 22.0), |_| {
                (0.001, ok())
            })
            .samples(
                ("health", "codebase"),
                0.01,
                (0.0, 22.0),
                degraded_after(from),
            )
    };
    let params = json!({ "service": "codebase", "fault": "cut", "within": "500ms", "any_of": [{ "probe": "health" }] });
    assert_eq!(
        story(20.15).judge("detection", params.clone()).verdict,
        Verdict::Pass
    );
    assert_eq!(
        story(20.65).judge("detection", params).verdict,
        Verdict::Fail
    );
}

#[test]
fn of_signals_that_each_suffice_the_one_that_proves_something_tells_the_time() {
    let signals = json!({ "any_of": [{ "probe": "health" }, { "log": "(?i)database.*lost" }] });
    let story = story(degraded_after(15.0)).log("codebase", 23.5, "Database connection lost");
    let finding = judge(story, &signals);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    let took = finding.figures["detection_s"];
    assert!((3.0..4.0).contains(&took), "{took}");
}

#[test]
fn a_line_that_was_said_before_the_fault_proves_nothing() {
    let log = json!({ "any_of": [{ "log": "(?i)database.*lost" }] });
    let said = |times: &[f64]| {
        let logging =
            |story: Story, when: &f64| story.log("codebase", *when, "Database connection lost");
        judge(times.iter().fold(story(hangs), logging), &log)
    };
    let never_stops: Vec<f64> = (0..40).map(f64::from).collect();
    for times in [&[12.0, 21.0][..], &never_stops] {
        let finding = said(times);
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        assert!(
            finding.summary.ends_with(", as before the fault"),
            "{}",
            finding.summary
        );
    }
    assert_eq!(said(&[12.0]).verdict, Verdict::Fail);
    assert_eq!(said(&[21.0]).verdict, Verdict::Pass);
}

/// A service that goes on about an outage that is over, and one that spoke of it while it lasted.
#[test]
fn a_line_that_another_fault_left_behind_proves_nothing() {
    let log = json!({ "any_of": [{ "log": "lost" }] });
    let after = |stops: f64| {
        let (mut story, mut when) = (story(hangs).fault("earlier", 14.0, 17.0), 14.5);
        while when < stops {
            story = story.log("codebase", when, "lost");
            when += 0.5;
        }
        judge(story.log("codebase", 21.0, "lost"), &log).verdict
    };
    assert_eq!(after(28.0), Verdict::Inconclusive);
    assert_eq!(after(17.0), Verdict::Pass);
}

#[test]
fn what_is_said_of_a_fault_that_was_there_from_the_start_counts() {
    let phase = |phase| Fact::Phase { phase };
    let story = Story::default()
        .fault("cut", 1.0, 28.0)
        .fact(2.0, phase(Phase::SteadyState))
        .fact(10.0, phase(Phase::Experiment))
        .fact(40.0, phase(Phase::Settle))
        .hit("cut", 1.5, 0, Impact::Withheld)
        .samples(("writes", "codebase"), 0.05, (1.0, 40.0), hangs)
        .log("codebase", 3.0, "lost");
    let finding = judge(story, &json!({ "any_of": [{ "log": "lost" }] }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_log_that_was_not_seen_may_have_said_so() {
    let log = json!({ "any_of": [{ "log": "lost" }] });
    let finding = judge(story(hangs), &log);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let finding = judge(story(hangs).log_gap("codebase", 22.0, None), &log);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    let why = "the log stayed silent, but the log was not seen from 12 s on";
    assert!(finding.summary.contains(why), "{}", finding.summary);
    assert!(finding.help.unwrap().contains("the whole log"));
    // What it said before it was lost counts.
    let said = story(hangs).log("codebase", 21.0, "lost");
    let finding = judge(said.log_gap("codebase", 22.0, None), &log);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    let later = story(hangs).log_gap("codebase", 27.0, None);
    assert_eq!(judge(later, &log).verdict, Verdict::Fail);
}
