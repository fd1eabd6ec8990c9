use serde_json::json;

use crate::check::testing::{Story, not_ok, ok, unanswered};
use crate::check::{Finding, Verdict};
use crate::event::{Impact, Outcome};

fn story(every: f64, health: impl Fn(f64) -> (f64, Outcome)) -> Story {
    Story::until(60.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .fault("down", 40.0, 50.0)
        .hit("down", 40.0, 0, Impact::Closed)
        .samples(("health", "codebase"), every, (0.0, 60.0), health)
}

fn judge(story: Story) -> Finding {
    story.judge(
        "health",
        json!({ "probe": "health", "during": "fault:cut..fault:down",
            "that": ["health.p99 <= 50ms", "health.timeouts == 0"] }),
    )
}

#[test]
fn an_endpoint_that_answers_degraded_at_once_passes() {
    let degraded = |when: f64| (0.003, if when > 21.0 { not_ok() } else { ok() });
    let finding = judge(story(0.1, degraded));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!(
        finding.summary.contains("p99 3 ms over 300 samples"),
        "{}",
        finding.summary
    );
    assert!((finding.figures["health.p99_s"] - 0.003).abs() < 1e-9);
}

#[test]
fn an_endpoint_that_hangs_fails_both_demands() {
    let hangs = |when: f64| {
        if (20.0..28.0).contains(&when) {
            (1.0, Outcome::Timeout)
        } else {
            (0.003, ok())
        }
    };
    let finding = judge(story(0.1, hangs));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding
            .evidence
            .iter()
            .all(|evidence| evidence.verdict == Verdict::Fail)
    );
    assert!(
        finding
            .help
            .unwrap()
            .contains("never by waiting for the database")
    );
}

#[test]
fn a_percentile_of_too_few_answers_decides_nothing() {
    let finding = judge(story(0.5, |_| (0.003, ok())));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(
        finding.summary.contains("60 samples, 100 needed"),
        "{}",
        finding.summary
    );
}

#[test]
fn slowness_on_a_starved_machine_decides_nothing() {
    let finding = judge(story(0.1, |_| (0.06, ok())).busy(0.99));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn a_fault_without_victims_decides_nothing() {
    let story = Story::until(60.0)
        .fault("cut", 20.0, 28.0)
        .fault("down", 40.0, 50.0)
        .samples(("health", "codebase"), 0.1, (0.0, 60.0), |_| (0.003, ok()));
    assert_eq!(judge(story).verdict, Verdict::Inconclusive);
}

#[test]
fn an_endpoint_that_is_gone_is_not_quick() {
    for outcome in unanswered() {
        let gone = move |when: f64| {
            let hit = (20.0..28.0).contains(&when);
            (0.001, if hit { outcome.clone() } else { ok() })
        };
        let finding = judge(story(0.1, gone));
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
        assert!(
            finding.summary.contains("p99 3 s over 300 samples"),
            "{}",
            finding.summary
        );
    }
}

#[test]
fn a_fault_that_touched_nobody_lets_nothing_pass_in_a_window_around_it() {
    let whole = |latency: f64, named: &str| {
        let story = Story::until(60.0)
            .fault("cut", 20.0, 32.0)
            .hit("cut", 20.0, 0, Impact::Withheld)
            .fault("beside", 22.0, 23.0)
            .fault("down", 40.0, 50.0)
            .samples(("health", "codebase"), 0.1, (0.0, 60.0), move |_| {
                (latency, ok())
            });
        let that = json!(["health.p99 <= 50ms"]);
        story.judge(
            "health",
            json!({ "probe": "health", "during": named, "that": that }),
        )
    };
    for named in ["all", "fault:cut..recovery:cut", "fault:cut"] {
        let finding = whole(0.003, named);
        let expected = match named {
            "fault:cut" => Verdict::Pass,
            _ => Verdict::Inconclusive,
        };
        assert_eq!(finding.verdict, expected, "{named}: {finding:#?}");
    }
    let finding = whole(0.003, "all");
    let why = "fault `beside` touched 0 connections, at least 1 needed";
    assert_eq!(finding.evidence[0].measured, why);
    let otherwise = format!("{why}; otherwise: p99");
    assert!(
        finding.summary.starts_with(&otherwise),
        "{}",
        finding.summary
    );
    assert!(finding.help.unwrap().contains("not past it"));
    // What is too slow without any fault is too slow.
    assert_eq!(whole(0.3, "all").verdict, Verdict::Fail);
}

#[test]
fn the_advice_is_for_the_reason() {
    let few = judge(story(0.5, |_| (0.003, ok())));
    assert_eq!(few.help.unwrap(), "raise the rate or lengthen the window");
    let starved = judge(story(0.1, |_| (0.06, ok())).busy(0.99));
    assert!(starved.help.unwrap().contains("machine with time to spare"));
}

#[test]
fn the_advice_follows_from_what_was_demanded() {
    let lies = |that: &str| {
        let story = Story::until(60.0).fault("cut", 20.0, 30.0);
        let story = story.hit("cut", 20.0, 0, Impact::Withheld);
        let story = story.samples(("p", "s"), 0.1, (0.0, 60.0), |_| (0.01, ok()));
        let params = json!({ "probe": "p", "during": "fault:cut", "that": [that] });
        let finding = story.judge("health", params);
        assert_eq!(finding.verdict, Verdict::Fail);
        finding.help.unwrap()
    };
    assert!(lies("p.ok_ratio <= 20%").contains("say that the service cannot"));
    assert!(lies("p.p95 <= 1ms").contains("kept in the background"));
}
