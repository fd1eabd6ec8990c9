//! Several loops behind one proxy.

use super::*;

#[test]
fn loops_are_judged_one_by_one_if_they_can_be_told_apart() {
    let reset = || ClosedBy::Fault("cut".into());
    let two = |names: [&str; 2]| {
        let mut story = bare();
        for (lane, name) in (0..2_u64).zip(names) {
            let mut failed = 40.0 + 0.1 * lane as f64;
            for (index, delay) in (0..).zip(GOOD) {
                let start = failed + delay;
                failed = start + 0.001;
                story = story.attempt_of(1 + lane * 100 + index, name, start, failed, reset());
            }
        }
        story
    };
    assert_eq!(
        judge(two(["a", "b"])).verdict,
        Verdict::Fail,
        "declared as one loop"
    );
    let mut params = declared();
    params["lanes"] = json!(2);
    let apart = two(["a", "b"]).judge("backoff", params.clone());
    assert_eq!(
        (apart.verdict, apart.evidence.len()),
        (Verdict::Pass, 5),
        "{apart:#?}"
    );
    let alike = two(["a", "a"]).judge("backoff", params);
    assert_eq!(
        (alike.verdict, alike.evidence.len()),
        (Verdict::Inconclusive, 4),
        "{alike:#?}"
    );
    assert!(alike.help.unwrap().contains("`application_name`"));
    assert!(
        alike.notes[0].contains("cannot be told apart"),
        "{:?}",
        alike.notes
    );
}

/// Attempts of loops that cannot be told apart, each after the same delays.
fn alike(lanes: u64, delays: &[f64]) -> Finding {
    alike_under(lanes, delays, ("none", "4s"))
}

fn alike_under(lanes: u64, delays: &[f64], (jitter, max): (&str, &str)) -> Finding {
    let asked = ("reads", "codebase");
    let mut story = bare().samples(asked, 0.004, (40.0, 52.0), |_| (0.001, ok()));
    for lane in 0..lanes {
        let mut failed = 40.0 + 0.01 * lane as f64;
        for (index, delay) in (1..).zip(delays) {
            let start = failed + delay;
            failed = start + 0.001;
            if start < 52.0 {
                story = story.attempt(lane * 100 + index, start, failed);
            }
        }
    }
    let mut params = declared();
    params["lanes"] = json!(lanes);
    params["max_rate"] = json!("100/s");
    params["spread"] = json!("0%");
    params["jitter"] = json!(jitter);
    params["max"] = json!(max);
    story.judge("backoff", params)
}

#[test]
fn loops_that_cannot_be_told_apart_are_judged_together() {
    for lanes in [4, 10] {
        let good = alike(lanes, &[0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 4.0]);
        assert_eq!(good.verdict, Verdict::Pass, "{good:#?}");
        assert!(good.notes[0].contains("no single gap"), "{good:#?}");
        // As many attempts in all as the policy makes.
        let constant = alike(lanes, &[2.0; 6]);
        assert_eq!(constant.verdict, Verdict::Fail, "{constant:#?}");
        assert!(
            constant.summary.contains("on average"),
            "{}",
            constant.summary
        );
    }
    for lanes in [2, 4, 10] {
        assert_eq!(alike(lanes, &[0.25; 48]).verdict, Verdict::Fail);
        let stopped = alike(lanes, &[0.0, 0.25, 0.5]);
        assert_eq!(stopped.verdict, Verdict::Fail, "{stopped:#?}");
    }
    let few = alike(2, &[0.0, 10.0]);
    assert_ne!(few.verdict, Verdict::Pass, "{few:#?}");
    // The last wait of a loop is not known: one of up to 8 s may be under way.
    let waiting = alike_under(4, &[0.0, 0.25, 0.7, 2.0, 4.0], ("decorrelated", "8s"));
    assert_ne!(waiting.verdict, Verdict::Fail, "{waiting:#?}");
}

#[test]
fn attempts_at_once_are_more_loops_and_no_gap_is_negative() {
    let overlapping = || story(&GOOD).attempt(20, 40.7, 40.9);
    let finding = judge(overlapping());
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding
            .summary
            .contains("more loops dial than `lanes` says"),
        "{}",
        finding.summary
    );
    assert!(finding.figures.keys().all(|name| !name.starts_with("gap")));
    // Where nobody said how many loops there are, nothing fails for it.
    let mut one = declared();
    one.as_object_mut().unwrap().remove("lanes");
    let finding = overlapping().judge("backoff", one);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.contains("more than one loop dials"));
    let undeclared = overlapping().judge("backoff", json!({ "proxy": "db", "fault": "cut" }));
    assert_eq!(undeclared.verdict, Verdict::Pass, "{undeclared:#?}");
    // The end of an attempt is recorded just after its client has dialled again.
    let early = bare()
        .attempt(1, 40.25, 40.2514)
        .attempt(2, 40.251, 40.252)
        .judge("backoff", json!({ "proxy": "db", "fault": "cut" }));
    assert_eq!(early.figures["gap_01_s"].to_bits(), 0.0_f64.to_bits());
}
