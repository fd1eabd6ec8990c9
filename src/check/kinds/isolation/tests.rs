use serde_json::json;

use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Finding, Verdict};
use crate::event::{Fact, Impact, Outcome, Phase};

/// Latencies spread over 5 to 15 ms, the same in every second.
fn usual(when: f64) -> f64 {
    0.005 + 0.010 * (when * 37.0).fract()
}

/// A fault elsewhere from 20 s to 28 s; 200 reads a second on the bystander.
fn story(read: impl Fn(f64) -> (f64, Outcome)) -> Story {
    at_rate(200.0, read)
}

fn at_rate(rate: f64, read: impl Fn(f64) -> (f64, Outcome)) -> Story {
    Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .samples(("reads", "workflow"), 1.0 / rate, (0.0, 40.0), read)
}

fn under_fault(when: f64) -> bool {
    (20.0..28.0).contains(&when)
}

fn judge(story: Story, that: &[&str]) -> Finding {
    story.judge(
        "isolation",
        json!({ "service": "workflow", "during": "fault:cut..recovery:cut", "that": that,
            "floor": "1ms" }),
    )
}

const BOTH: [&str; 2] = ["reads.error_rate == 0%", "reads.p95 <= 125% of baseline"];

#[test]
fn a_bystander_at_its_baseline_passes() {
    let finding = judge(story(|when| (usual(when), ok())), &BOTH);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!(
        finding
            .summary
            .contains("failed 0 of 4002 samples (true rate at most 0.07 %)")
    );
    assert_eq!(finding.evidence.len(), 2);
}

#[test]
fn one_failure_where_none_is_allowed_fails() {
    let one = |when: f64| {
        (
            0.01,
            if (when - 22.0).abs() < 0.002 {
                not_ok()
            } else {
                ok()
            },
        )
    };
    let finding = judge(story(one), &BOTH);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.contains("failed 1 of 4001"),
        "{}",
        finding.summary
    );
    assert!(finding.help.unwrap().contains("shares with the victim"));
}

#[test]
fn a_bystander_that_is_dragged_along_fails() {
    let dragged = |when: f64| {
        (
            usual(when) * if under_fault(when) { 3.0 } else { 1.0 },
            ok(),
        )
    };
    let finding = judge(story(dragged), &BOTH);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
}

#[test]
fn a_shift_below_the_floor_does_not_matter() {
    let tiny = |when: f64| (if under_fault(when) { 0.0015 } else { 0.001 }, ok());
    assert_eq!(judge(story(tiny), &BOTH).verdict, Verdict::Pass);
}

#[test]
fn a_difference_within_the_noise_decides_nothing() {
    // A quarter of the seconds is slow, in the baseline as under the fault, at different places.
    let noisy = |when: f64| {
        let slow = ((when.floor() * 7.0) % 20.0) < if when < 20.0 { 1.0 } else { 2.0 };
        (if slow { 0.060 } else { 0.010 }, ok())
    };
    let finding = judge(story(noisy), &["reads.p95 <= 125% of baseline"]);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn too_few_samples_decide_nothing() {
    let finding = judge(at_rate(5.0, |_| (0.01, ok())), &BOTH);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(
        finding.summary.contains("300 needed"),
        "{}",
        finding.summary
    );
    assert!(
        finding.summary.contains("200 needed"),
        "{}",
        finding.summary
    );
}

#[test]
fn a_fault_that_touched_nobody_leaves_nothing_to_be_isolated_from() {
    let story = Story::until(40.0).fault("cut", 20.0, 28.0).samples(
        ("reads", "workflow"),
        0.005,
        (0.0, 40.0),
        |_| (0.01, ok()),
    );
    assert_eq!(judge(story, &BOTH).verdict, Verdict::Inconclusive);
}

#[test]
fn on_a_starved_machine_only_the_absence_of_failures_counts() {
    let dragged = |when: f64| {
        (
            usual(when) * if under_fault(when) { 3.0 } else { 1.0 },
            ok(),
        )
    };
    let slow = judge(
        story(dragged).busy(0.99),
        &["reads.p95 <= 125% of baseline"],
    );
    assert_eq!(slow.verdict, Verdict::Inconclusive, "{slow:#?}");
    assert!(
        slow.summary.contains("the machine was 99 % busy"),
        "{}",
        slow.summary
    );
    let zero = judge(story(dragged).busy(0.99), &["reads.error_rate == 0%"]);
    assert_eq!(zero.verdict, Verdict::Pass);
}

#[test]
fn rates_are_judged_by_their_bounds() {
    let failing = |share: f64| {
        move |when: f64| {
            let fails = (when * 200.0).round() % 1_000.0 < 1_000.0 * share;
            (0.01, if fails && when > 20.0 { not_ok() } else { ok() })
        }
    };
    let verdict = |share: f64| judge(story(failing(share)), &["reads.error_rate <= 1%"]).verdict;
    assert_eq!(verdict(0.002), Verdict::Pass);
    assert_eq!(verdict(0.010), Verdict::Inconclusive);
    assert_eq!(verdict(0.050), Verdict::Fail);
    let relative = judge(
        story(failing(0.05)),
        &["reads.error_rate <= 110% of baseline"],
    );
    assert_eq!(relative.verdict, Verdict::Fail, "{relative:#?}");
}

#[test]
fn everything_holds_ten_times_faster() {
    let run = |factor: f64| {
        let read = move |when: f64| {
            let slowed = if (20.0..20.8).contains(&when) {
                factor
            } else {
                1.0
            };
            (usual(when) * slowed, ok())
        };
        let story = Story::until(22.5)
            .fault("cut", 20.0, 20.8)
            .hit("cut", 20.0, 0, Impact::Withheld)
            .samples(("reads", "workflow"), 0.005, (0.0, 22.5), read);
        judge(story, &BOTH).verdict
    };
    assert_eq!(run(1.0), Verdict::Pass);
    assert_eq!(run(4.0), Verdict::Fail);
}

#[test]
fn windows_in_which_the_steady_state_was_refused_are_no_baseline() {
    // Slow for the first two windows of three, then at 10 ms; under the fault at 25 ms.
    let warming_up = |when: f64| {
        let latency = match when {
            _ if when < 6.0 => 0.3,
            _ if under_fault(when) => 0.025,
            _ => 0.01,
        };
        (latency, ok())
    };
    let begins = |when| {
        (
            when,
            Fact::Phase {
                phase: Phase::SteadyState,
            },
        )
    };
    let again = [3.0, 6.0].map(begins);
    let story = again
        .into_iter()
        .fold(story(warming_up), |story, (when, fact)| {
            story.fact(when, fact)
        });
    let finding = judge(story, &["reads.p95 <= 125% of baseline"]);
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.contains("limit 12.5 ms"),
        "{}",
        finding.summary
    );
}
