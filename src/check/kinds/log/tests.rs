use serde_json::{Value, json};

use crate::check::testing::Story;
use crate::check::{Finding, Verdict};
use crate::event::{Fact, Impact};

/// A fault from 20 s to 28 s, and a line at the start.
fn story() -> Story {
    Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .log("web", 1.0, r#"{"level":"info","message":"listening"}"#)
}

fn judge(story: Story, params: &Value) -> Finding {
    let mut all = json!({ "service": "web", "during": "fault:cut..recovery:cut" });
    all.as_object_mut()
        .unwrap()
        .extend(params.as_object().unwrap().clone());
    story.judge("log", all)
}

#[test]
fn each_text_must_be_said_in_the_window() {
    let contains = || json!({ "contains": ["(?i)database lost", "attempt [0-9]+/5"] });
    let says_both = story()
        .log("web", 21.0, "WARN Database lost")
        .log("web", 22.0, "attempt 2/5");
    let finding = judge(says_both, &contains());
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.evidence.len(), 2);
    let too_early = story()
        .log("web", 11.0, "WARN Database lost")
        .log("web", 22.0, "attempt 2/5");
    let finding = judge(too_early, &contains());
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "no line says `(?i)database lost`");
    let other = story().log("workflow", 21.0, "Database lost, attempt 2/5");
    assert_eq!(judge(other, &contains()).verdict, Verdict::Fail);
}

#[test]
fn what_must_not_be_said_fails() {
    let absent = || json!({ "absent": ["panicked at"] });
    assert_eq!(judge(story(), &absent()).verdict, Verdict::Pass);
    let finding = judge(
        story().log("web", 21.0, "thread main panicked at x"),
        &absent(),
    );
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "1 line like `panicked at`");
}

#[test]
fn lines_must_be_json_with_every_field() {
    let fields = || json!({ "fields": ["request_id", "latency.ms"], "lines": "request" });
    let whole = r#"{"request_id":"r1","latency":{"ms":3}}"#;
    let finding = judge(
        story().log("web", 21.0, whole).log("web", 22.0, "hello"),
        &fields(),
    );
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    for (bad, why) in [
        (r#"{"request_id":"r2","latency":{}}"#, "no `latency.ms` in"),
        (
            r#"{"request_id":null,"latency":{"ms":1}}"#,
            "no `request_id` in",
        ),
        ("request r2 took 3 ms", "no JSON object in"),
    ] {
        let finding = judge(
            story().log("web", 21.0, whole).log("web", 22.0, bad),
            &fields(),
        );
        assert_eq!(finding.verdict, Verdict::Fail, "{bad}");
        assert!(finding.summary.contains(why), "{}", finding.summary);
        assert!(
            finding.summary.contains("1 of 2 lines"),
            "{}",
            finding.summary
        );
    }
    let finding = judge(story(), &fields());
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn the_end_of_a_line_that_was_cut_may_say_anything() {
    let cut = || {
        let whole = r#"{"request_id":"r1"}"#;
        story()
            .log("web", 21.0, r#"{"request_id":"xxx"#)
            .cut()
            .log("web", 22.0, whole)
    };
    for params in [
        json!({ "fields": ["request_id"] }),
        json!({ "absent": ["panicked"] }),
        json!({ "contains": ["lost"] }),
    ] {
        let finding = judge(cut(), &params);
        assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        let why = "but the end of a line was not seen at 11 s";
        assert!(finding.summary.ends_with(why), "{}", finding.summary);
    }
    // The line is there, whatever it says.
    let rate = judge(cut(), &json!({ "max_rate": "20/s" }));
    assert_eq!(rate.verdict, Verdict::Pass, "{rate:#?}");
    let before = judge(
        cut(),
        &json!({ "absent": ["panicked"], "during": "baseline" }),
    );
    assert_eq!(before.verdict, Verdict::Pass, "{before:#?}");
}

#[test]
fn what_was_not_seen_cannot_pass_and_what_was_seen_counts() {
    let said = || {
        let line = r#"{"id":1,"message":"database lost"}"#;
        story().log("web", 21.0, line).log_gap("web", 25.0, None)
    };
    for (params, verdict) in [
        (json!({ "absent": ["panicked"] }), Verdict::Inconclusive),
        (json!({ "absent": ["lost"] }), Verdict::Fail),
        (json!({ "contains": ["lost"] }), Verdict::Pass),
        (json!({ "contains": ["restored"] }), Verdict::Inconclusive),
        (json!({ "fields": ["id"] }), Verdict::Inconclusive),
        (json!({ "fields": ["code"] }), Verdict::Fail),
        (json!({ "max_rate": "20/s" }), Verdict::Inconclusive),
        (json!({ "max_rate": "0.5/s" }), Verdict::Fail),
    ] {
        let finding = judge(said(), &params);
        assert_eq!(finding.verdict, verdict, "{params}: {finding:#?}");
    }
    let finding = judge(said(), &json!({ "absent": ["panicked"] }));
    assert_eq!(
        finding.summary,
        "no line says `panicked`, but the log was not seen from 15 s on: `tail` ended"
    );
}

#[test]
fn only_what_was_not_seen_in_the_window_counts() {
    let verdict = |from: f64, until: Option<f64>| {
        let story = story()
            .log_gap("web", from, until)
            .log_gap("other", 20.0, None);
        judge(
            story,
            &json!({ "absent": ["panicked"], "during": "fault:cut" }),
        )
        .verdict
    };
    assert_eq!(verdict(12.0, Some(19.9)), Verdict::Pass);
    assert_eq!(verdict(12.0, Some(20.0)), Verdict::Inconclusive);
    assert_eq!(verdict(12.0, None), Verdict::Inconclusive);
    assert_eq!(verdict(27.9, Some(30.0)), Verdict::Inconclusive);
    assert_eq!(verdict(28.0, None), Verdict::Pass);
}

#[test]
fn a_storm_of_lines_fails_by_its_busiest_second() {
    let lines = |count: u32| {
        (0..count).fold(story(), |story, index| {
            story.log("web", 21.9 + f64::from(index) * 0.01, "retrying")
        })
    };
    let limit = || json!({ "max_rate": "20/s" });
    assert_eq!(judge(lines(20), &limit()).verdict, Verdict::Pass);
    let finding = judge(lines(21), &limit());
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "at most 21 lines in a second");
}

#[test]
fn a_log_that_nobody_read_decides_nothing() {
    let story = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld);
    let finding = judge(story, &json!({ "absent": ["panicked at"] }));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    let story = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .log_gap("web", 3.0, None);
    let finding = judge(story, &json!({ "absent": ["panicked at"] }));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.summary.ends_with("`tail` ended"), "{finding:#?}");
}

#[test]
fn a_line_at_the_end_of_the_window_is_outside_of_it() {
    let said = |when: f64| {
        let story = story().log("web", when, "database lost");
        let params = json!({ "contains": ["lost"], "during": "fault:cut" });
        judge(story, &params).verdict
    };
    assert_eq!(said(20.0), Verdict::Pass);
    assert_eq!(said(27.99), Verdict::Pass);
    assert_eq!(said(28.0), Verdict::Fail);
}

#[test]
fn lines_a_second_apart_are_not_in_the_same_second() {
    let story = [21.0, 21.5, 22.0, 22.5]
        .iter()
        .fold(story(), |story, when| story.log("web", *when, "x"));
    let finding = judge(story, &json!({ "max_rate": "2/s" }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!((finding.figures["lines_per_s"] - 2.0).abs() < 1e-9);
}

#[test]
fn what_was_not_said_before_an_interruption_may_have_been_said_after_it() {
    let verdict = |params: Value| {
        let signal = "SIGINT".to_owned();
        let story = story().log("web", 21.0, "database lost");
        judge(story.fact(30.0, Fact::Interrupted { signal }), &params).verdict
    };
    let inconclusive = json!({ "contains": ["restored"] });
    assert_eq!(verdict(inconclusive), Verdict::Inconclusive);
    assert_eq!(
        verdict(json!({ "absent": ["panic"] })),
        Verdict::Inconclusive
    );
    assert_eq!(verdict(json!({ "absent": ["lost"] })), Verdict::Fail);
    let over = json!({ "contains": ["restored"], "during": "fault:cut" });
    assert_eq!(verdict(over), Verdict::Fail);
}
