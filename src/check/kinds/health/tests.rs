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
    judge_of(story, "good")
}

fn judge_of(story: Story, of: &str) -> Finding {
    story.judge(
        "health",
        json!({ "probe": "health", "during": "fault:cut..fault:down", "of": of,
            "that": ["health.p99 <= 50ms", "health.timeouts == 0"] }),
    )
}

#[test]
fn an_endpoint_that_answers_degraded_at_once_is_quick_where_errors_count_as_answers() {
    let degraded = |when: f64| (0.003, if when > 21.0 { not_ok() } else { ok() });
    let finding = judge_of(story(0.1, degraded), "all");
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!((finding.figures["health.p99_s"] - 0.003).abs() < 1e-9);
    let words = "p99 3 ms over 300 answers (96.33 % failed); timeouts 0";
    assert!(finding.summary.contains(words), "{}", finding.summary);

    let finding = judge_of(story(0.1, degraded), "good");
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    let words = "p99 3 ms over 11 good answers (96.33 % failed), 100 needed";
    assert!(finding.summary.contains(words), "{}", finding.summary);
    assert!(finding.help.unwrap().contains("of = \"all\""));
}

#[test]
fn errors_in_no_time_are_not_quick_answers() {
    let errors = |share: f64| {
        let health = move |when: f64| {
            let nth = (when * 10.0).round() % 10.0;
            (0.002, if nth < share { not_ok() } else { ok() })
        };
        let finding = story(0.1, health).judge(
            "health",
            json!({ "probe": "health", "during": "all", "that": ["health.p95 <= 50ms"] }),
        );
        (finding.verdict, finding.summary)
    };
    let (verdict, words) = errors(10.0);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert_eq!(words, "p95 of 0 good answers (100 % failed), 20 needed");
    let (verdict, words) = errors(9.0);
    assert_eq!(verdict, Verdict::Pass);
    assert_eq!(words, "p95 2 ms over 50 good answers (90 % failed)");
}

#[test]
fn a_server_that_is_not_there_does_not_answer() {
    for outcome in unanswered().into_iter().chain([Outcome::Timeout]) {
        let dead = move |when: f64| (0.001, if when < 14.0 { ok() } else { outcome.clone() });
        let finding = story(0.1, dead).judge(
            "health",
            json!({ "probe": "health", "during": "all", "that": ["health.timeouts == 0"] }),
        );
        assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
        assert_eq!(finding.summary, "timeouts 460 over 500 samples");
    }
}

#[test]
fn a_limit_beyond_the_deadline_is_not_met_by_no_answers() {
    for (outcome, expected) in [
        (Outcome::Timeout, Verdict::Inconclusive),
        (ok(), Verdict::Pass),
    ] {
        let half = move |when: f64| {
            let nth = (when * 10.0).round() % 2.0;
            (0.002, if nth < 1.0 { outcome.clone() } else { ok() })
        };
        let finding = story(0.1, half).judge(
            "health",
            json!({ "probe": "health", "during": "all", "that": ["health.p95 <= 5s"] }),
        );
        assert_eq!(finding.verdict, expected, "{finding:#?}");
        let undecided = "p95 3 s over 250 good answers and 250 unanswered (50 % failed), but it is \
                         that of an observation without an answer";
        let words = match expected {
            Verdict::Pass => "p95 2 ms over 500 samples",
            _ => undecided,
        };
        assert_eq!(finding.summary, words);
    }
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
            finding
                .summary
                .contains("p99 3 s over 220 good answers and 80 unanswered (26.67 % failed)"),
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

#[test]
fn lines_that_were_not_seen_may_raise_a_count() {
    let judge = |that: &str, gap: bool| {
        let story = Story::until(40.0)
            .samples(("said", "web"), 1.0, (20.0, 23.0), |_| (0.0, ok()))
            .irregular("said");
        let story = if gap {
            story.log_gap("web", 25.0, None)
        } else {
            story
        };
        let params = json!({ "probe": "said", "during": "all", "that": [that] });
        story.judge("health", params).verdict
    };
    for (that, seen_whole, with_gap) in [
        ("said.count <= 5", Verdict::Pass, Verdict::Inconclusive),
        ("said.count == 3", Verdict::Pass, Verdict::Inconclusive),
        ("said.count >= 5", Verdict::Fail, Verdict::Inconclusive),
        ("said.count >= 3", Verdict::Pass, Verdict::Pass),
        ("said.count <= 2", Verdict::Fail, Verdict::Fail),
        ("said.count == 0", Verdict::Fail, Verdict::Fail),
    ] {
        let verdicts = (judge(that, false), judge(that, true));
        assert_eq!(verdicts, (seen_whole, with_gap), "{that}");
    }
}
