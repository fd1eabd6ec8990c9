use serde_json::json;

use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Finding, Verdict};
use crate::event::{ClosedBy, Fact, Impact, Outcome};

/// A fault from 20 s to 28 s, observed until `end`; writes are as told.
fn story(end: f64, write: impl Fn(f64) -> (f64, Outcome)) -> Story {
    Story::until(end)
        .session(0, 1.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.05, 0, Impact::Withheld)
        .closed(0, 22.0, ClosedBy::Client)
        .session(1, 29.0)
        .samples(("writes", "codebase"), 0.05, (0.0, end), write)
        .samples(("health", "codebase"), 0.1, (0.0, end), |_| (0.002, ok()))
}

fn failing_until(moment: f64) -> impl Fn(f64) -> (f64, Outcome) {
    move |when| {
        if (20.0..moment).contains(&when) {
            (0.01, not_ok())
        } else {
            (0.01, ok())
        }
    }
}

fn judge(story: Story) -> Finding {
    story.judge(
        "recovery",
        json!({ "service": "codebase", "fault": "cut", "within": "10s",
            "that": ["health.ok_ratio == 100%", "writes.error_rate == 0%"] }),
    )
}

#[test]
fn a_service_that_is_back_in_time_passes_with_its_time() {
    let finding = judge(story(60.0, failing_until(30.0)));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "back to normal 1.99 s after `cut` (bound 10 s)"
    );
    assert!((finding.figures["cut.first_success_s"] - 1.0).abs() < 1.1);
    let twice = story(60.0, failing_until(30.0));
    assert!(!twice.history(None).fault("cut").is_empty());
}

#[test]
fn a_service_that_is_back_too_late_fails() {
    let finding = judge(story(60.0, failing_until(39.0)));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let words =
        "back to normal only 10.99 s after `cut` (bound 10 s), first success after 92 ms: only ";
    assert!(finding.summary.starts_with(words), "{}", finding.summary);
}

#[test]
fn a_service_that_never_comes_back_fails_with_what_is_wrong() {
    let finding = judge(story(60.0, failing_until(100.0)));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding
            .summary
            .contains("only 33.33 % of the requests were ok"),
        "{}",
        finding.summary
    );
    assert!(finding.help.is_some());
}

#[test]
fn on_a_starved_machine_only_a_recovery_is_believed() {
    let never = judge(story(60.0, failing_until(100.0)).busy(0.99));
    assert_eq!(never.verdict, Verdict::Inconclusive, "{never:#?}");
    assert!(never.summary.ends_with(", but the machine was 99 % busy"));
    assert!(
        never
            .evidence
            .iter()
            .all(|one| one.verdict != Verdict::Fail)
    );
    let back = judge(story(60.0, failing_until(30.0)).busy(0.99));
    assert_eq!(back.verdict, Verdict::Pass, "{back:#?}");
    let at_leisure = judge(story(60.0, failing_until(100.0)).busy(0.9));
    assert_eq!(at_leisure.verdict, Verdict::Fail, "{at_leisure:#?}");
}

#[test]
fn a_run_that_ends_too_early_decides_nothing() {
    let finding = judge(story(34.0, failing_until(100.0)));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.help.unwrap().contains("leave at least 15 s"));
}

#[test]
fn a_later_dip_voids_an_early_recovery() {
    let dips = |when: f64| {
        if (20.0..30.0).contains(&when) || (36.0..41.0).contains(&when) {
            (0.01, not_ok())
        } else {
            (0.01, ok())
        }
    };
    let finding = judge(story(60.0, dips));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let words = "well 1.99 s after the fault, failing again after 7.99 s: only ";
    assert!(finding.summary.contains(words), "{}", finding.summary);
    for (figure, seconds) in [("recovery_s", 12.99), ("dip_at_s", 7.99)] {
        let found = finding.figures[&format!("cut.{figure}")];
        assert!((found - seconds).abs() < 0.001, "{figure} {found}");
    }
}

#[test]
fn answers_that_stay_slow_are_no_recovery() {
    let slow = |when: f64| (if when < 20.0 { 0.01 } else { 0.2 }, ok());
    let finding = judge(story(60.0, slow));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding
            .summary
            .contains("`writes` p95 200 ms, 10 ms in the baseline")
    );
}

#[test]
fn too_few_observations_decide_nothing() {
    let story = Story::until(60.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("writes", "codebase"), 1.0, (0.0, 60.0), |_| (0.01, ok()))
        .samples(("health", "codebase"), 1.0, (0.0, 60.0), |_| (0.01, ok()));
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.contains("20 needed"), "{}", finding.summary);
}

#[test]
fn success_on_connections_that_the_fault_never_met_decides_nothing() {
    let story = Story::until(60.0)
        .session(0, 1.0)
        .session(1, 1.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Closed)
        .closed(0, 20.0, ClosedBy::Fault("cut".into()))
        .samples(("writes", "codebase"), 0.05, (0.0, 60.0), |_| (0.01, ok()))
        .samples(("health", "codebase"), 0.1, (0.0, 60.0), |_| (0.01, ok()));
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(finding.summary, "no new session was seen after `cut`");
}

#[test]
fn connections_that_outlive_the_fault_need_no_successor() {
    let story = Story::until(60.0)
        .session(0, 1.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Delayed)
        .closed(0, 60.5, ClosedBy::Client)
        .samples(("writes", "codebase"), 0.05, (0.0, 60.0), |_| (0.01, ok()))
        .samples(("health", "codebase"), 0.1, (0.0, 60.0), |_| (0.01, ok()));
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_service_that_never_comes_back_fails_although_it_makes_no_session() {
    let story = Story::until(60.0)
        .session(0, 1.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Closed)
        .closed(0, 20.0, ClosedBy::Fault("cut".into()))
        .samples(
            ("writes", "codebase"),
            0.05,
            (0.0, 60.0),
            failing_until(60.0),
        )
        .samples(("health", "codebase"), 0.1, (0.0, 60.0), |_| (0.01, ok()));
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
}

#[test]
fn what_one_time_broke_is_not_excused_by_the_next_that_met_nobody() {
    let finding = judge(story(90.0, failing_until(90.0)).fault("cut", 50.0, 58.0));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let finding = judge(story(90.0, failing_until(30.0)).fault("cut", 50.0, 58.0));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn of_several_faults_the_worst_decides() {
    let story = story(90.0, |when| {
        if (20.0..30.0).contains(&when) || (50.0..75.0).contains(&when) {
            (0.01, not_ok())
        } else {
            (0.01, ok())
        }
    })
    .fault("down", 50.0, 60.0)
    .hit("down", 50.0, 1, Impact::Closed);
    let finding = story.judge(
        "recovery",
        json!({ "service": "codebase", "fault": ["cut", "down"], "within": "10s",
            "that": ["writes.error_rate == 0%"] }),
    );
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(finding.summary.contains("`down`"), "{}", finding.summary);
    assert!(finding.figures.contains_key("cut.recovery_s"));
    assert_eq!(finding.evidence.len(), 2);
}

#[test]
fn everything_holds_ten_times_faster() {
    let run = |back: f64| {
        let write = failing_until(back);
        Story::until(23.0)
            .fault("cut", 20.0, 20.8)
            .hit("cut", 20.0, 0, Impact::Withheld)
            .samples(("writes", "codebase"), 0.01, (0.0, 23.0), write)
            .judge(
                "recovery",
                json!({ "service": "codebase", "fault": "cut", "within": "1s", "hold": "500ms",
                    "that": ["writes.error_rate == 0%"] }),
            )
            .verdict
    };
    assert_eq!(run(21.5), Verdict::Pass);
    assert_eq!(run(22.0), Verdict::Fail);
}

#[test]
fn what_another_fault_still_broke_is_no_failure_to_recover() {
    let broken = || story(80.0, failing_until(61.0)).fault("other", 25.0, 60.0);
    assert_eq!(
        judge(story(80.0, failing_until(61.0))).verdict,
        Verdict::Fail
    );
    let finding = judge(broken());
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "`other` was still in force when `cut` was gone"
    );
    // Who does not come back after either has not recovered, and who is back early has.
    let never = story(80.0, failing_until(79.0)).fault("other", 25.0, 60.0);
    assert_eq!(judge(never).verdict, Verdict::Fail);
    let early = story(80.0, failing_until(29.0)).fault("other", 25.0, 60.0);
    assert_eq!(judge(early).verdict, Verdict::Pass);
}

#[test]
fn the_slowest_of_several_times_gives_the_figure() {
    let twice = |when: f64| {
        if (20.0..29.0).contains(&when) || (50.0..62.0).contains(&when) {
            (0.01, not_ok())
        } else {
            (0.01, ok())
        }
    };
    let story = story(90.0, twice)
        .fault("cut", 50.0, 58.0)
        .hit("cut", 50.05, 1, Impact::Withheld)
        .closed(1, 52.0, ClosedBy::Client)
        .session(2, 62.5);
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    let slowest = finding.figures["cut.recovery_s"];
    assert!((3.0..4.1).contains(&slowest), "{slowest}");
}

#[test]
fn the_clock_starts_when_the_last_of_several_paths_is_open() {
    let open = |when: f64| {
        let proxy = "other".into();
        let fault = "cut".into();
        story(80.0, failing_until(40.0)).fact(when, Fact::PathOpen { proxy, fault })
    };
    assert_eq!(judge(open(28.02)).verdict, Verdict::Fail);
    let finding = judge(open(36.0));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn what_was_under_way_when_the_next_fault_began_says_nothing_of_the_recovery() {
    let slowly = |when: f64| {
        if (20.0..30.0).contains(&when) || (47.51..55.0).contains(&when) {
            (0.5, not_ok())
        } else {
            (0.5, ok())
        }
    };
    let finding = judge(story(60.0, slowly).fault("next", 48.0, 55.0));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn one_stray_failure_before_the_next_fault_is_not_a_failure_to_recover() {
    let stray = |when: f64| {
        let fails = (20.0..37.5).contains(&when) || (40.0..40.04).contains(&when);
        (0.01, if fails { not_ok() } else { ok() })
    };
    let finding = judge(story(60.0, stray).fault("next", 42.0, 50.0));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    let down = |when: f64| (0.01, if when < 20.0 { ok() } else { not_ok() });
    let finding = judge(story(60.0, down).fault("next", 42.0, 50.0));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
}

#[test]
fn a_stray_failure_between_the_bound_and_the_next_fault_does_not_fail_a_service_that_came_back() {
    let judged = |back: f64, stray: f64| {
        let fails = |when: f64| (20.0..back).contains(&when) || (38.2..stray).contains(&when);
        story(60.0, |when| {
            (0.01, if fails(when) { not_ok() } else { ok() })
        })
        .fault("next", 38.5, 50.0)
        .judge(
            "recovery",
            json!({ "service": "codebase", "fault": "cut", "within": "10s",
                    "that": ["health.ok_ratio == 100%", "writes.ok_ratio >= 90%"] }),
        )
        .verdict
    };
    assert_eq!(judged(36.0, 38.24), Verdict::Inconclusive);
    assert_eq!(
        judged(36.0, 38.4),
        Verdict::Fail,
        "no stretch of 5 s could be good"
    );
}

#[test]
fn the_victims_of_the_fault_raise_no_limit() {
    // A rate so low that what the fault finds under way were more than a twentieth of the baseline.
    let slow = |when: f64| match when {
        _ if (19.0..20.0).contains(&when) => (10.0, ok()),
        _ if when < 20.0 => (1.2, ok()),
        _ => (4.0, ok()),
    };
    let finding = Story::until(90.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.05, 0, Impact::Withheld)
        .samples(("writes", "codebase"), 0.1, (12.0, 90.0), slow)
        .judge(
            "recovery",
            json!({ "service": "codebase", "fault": "cut", "within": "10s",
                "that": ["writes.error_rate == 0%"] }),
        );
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding
            .summary
            .contains("`writes` p95 4 s, 1.2 s in the baseline"),
        "{}",
        finding.summary
    );
}

/// A bound of 5 s; all goes well at once, but for one second from 32.7 s on.
fn one_second(outcome: Outcome) -> Story {
    story(60.0, move |when| match when {
        _ if (20.0..28.04).contains(&when) => (0.01, not_ok()),
        _ if (32.7..33.7).contains(&when) => (0.3, outcome.clone()),
        _ => (0.01, ok()),
    })
}

fn in_five_seconds(story: Story) -> Finding {
    story.judge(
        "recovery",
        json!({ "service": "codebase", "fault": "cut", "within": "5s",
            "that": ["health.ok_ratio == 100%", "writes.p95 <= 100ms"] }),
    )
}

/// The machine was busy in the seconds that end at these moments, and in no other.
fn busy_up_to(moments: &[f64], story: Story) -> Story {
    let seconds = (1..60).map(f64::from);
    seconds.fold(story, |story, second| {
        let busy = if moments.contains(&second) { 0.99 } else { 0.3 };
        story.fact(second, Fact::Machine { busy })
    })
}

#[test]
fn one_slow_second_tells_its_reason() {
    let finding = in_five_seconds(one_second(ok()));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let words = "first success after 50 ms: `writes` p95 300 ms, 10 ms in the baseline";
    assert!(
        finding.summary.starts_with("back to normal only 5."),
        "{}",
        finding.summary
    );
    assert!(finding.summary.ends_with(words), "{}", finding.summary);
    assert!((finding.figures["cut.first_success_s"] - 0.05).abs() < 1e-6);
    assert!(!finding.figures.contains_key("cut.dip_at_s"));
}

#[test]
fn what_was_slow_while_the_machine_was_starved_is_no_failure_to_recover() {
    let starved = busy_up_to(&[33.0, 34.0], one_second(ok()));
    let finding = in_five_seconds(starved);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding
            .summary
            .ends_with("10 ms in the baseline, but the machine was 99 % busy"),
        "{}",
        finding.summary
    );
    let late = one_second(ok()).late_within("writes", (32.7, 33.7), 0.29);
    let finding = in_five_seconds(late);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.ends_with("`writes` was sent 290 ms late"));
}

#[test]
fn a_starved_second_excuses_no_other_second_and_no_failed_request() {
    // Slow from the start, while the machine was starved in the last second alone.
    let slow = |when: f64| {
        (
            if (28.0..33.7).contains(&when) {
                0.3
            } else {
                0.01
            },
            ok(),
        )
    };
    let finding = in_five_seconds(busy_up_to(&[33.0], story(60.0, slow)));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    let failing = busy_up_to(&[33.0, 34.0], one_second(not_ok()));
    let finding = in_five_seconds(failing);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(finding.summary.contains("of the requests were ok"));
}
