use serde_json::{Value, json};

use crate::check::testing::Story;
use crate::check::{Finding, Verdict};
use crate::event::{Fact, Impact, ServiceChange};

fn change(story: Story, when: f64, change: ServiceChange) -> Story {
    let service = "web".into();
    story.fact(when, Fact::Service { service, change })
}

/// The port is taken from 20 s to 30 s; the service is started at 21 s and says so.
fn taken(how: &str, after: f64) -> Story {
    let story = Story::until(40.0)
        .fault_of("taken", "port_seizure", json!({}), 20.0, 30.0)
        .hit("taken", 21.0, 0, Impact::Refused);
    let story = change(story, 2.0, ServiceChange::Started(10));
    let story = change(story, 3.0, ServiceChange::Ready);
    let story = change(story, 20.5, ServiceChange::Exited("signal SIGTERM".into()));
    let story = change(story, 21.0, ServiceChange::Started(11));
    let story = change(story, 21.0, ServiceChange::Watched).log(
        "web",
        21.1,
        "ERROR Port 8020 already in use; stop the other process or set CODEBASE_MCP_PORT",
    );
    change(story, 21.0 + after, ServiceChange::Exited(how.into()))
}

fn params() -> Value {
    json!({ "service": "web", "fault": "taken", "code": 3, "within": "5s",
        "text": ["Port [0-9]+ already in use", "CODEBASE_MCP_PORT"] })
}

fn judge(story: Story) -> Finding {
    story.judge("exit", params())
}

#[test]
fn a_process_that_says_why_and_ends_with_its_code_passes() {
    let finding = judge(taken("exit code 3", 0.2));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    // In time, the code, two texts, never ready.
    assert_eq!(finding.evidence.len(), 5);
    assert!((finding.figures["exit_s"] - 0.2).abs() < 1e-9);
}

#[test]
fn another_code_fails_and_so_does_a_signal() {
    let finding = judge(taken("exit code 0", 0.2));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "ended with exit code 0");
    assert_eq!(judge(taken("signal SIGABRT", 0.2)).verdict, Verdict::Fail);
    let any = json!({ "service": "web", "fault": "taken" });
    let verdict = |how: &str| taken(how, 0.2).judge("exit", any.clone()).verdict;
    assert_eq!(verdict("exit code 7"), Verdict::Pass);
    assert_eq!(verdict("exit code 0"), Verdict::Fail);
}

#[test]
fn an_end_that_comes_late_or_never_fails() {
    let finding = judge(taken("exit code 3", 6.0));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "ended after 6 s");
    let told_to = judge(taken("exit code 3", 20.5));
    assert_eq!(told_to.verdict, Verdict::Fail);
    assert_eq!(told_to.summary, "still running after 20 s");
}

#[test]
fn a_text_that_is_missing_fails() {
    let silent = Story::until(40.0).log("web", 10.0, "Port 8020 already in use");
    let silent = change(silent, 21.0, ServiceChange::Started(11));
    let silent = change(silent, 21.2, ServiceChange::Exited("exit code 3".into()));
    let finding = silent.judge("exit", json!({ "service": "web", "text": ["Port"] }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "none of 0 lines says `Port`");
}

#[test]
fn a_process_that_was_ready_fails() {
    let finding = judge(change(
        taken("exit code 3", 0.2),
        21.1,
        ServiceChange::Ready,
    ));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "ready after 100 ms");
}

#[test]
fn without_a_start_under_the_fault_nothing_is_decided() {
    let story = Story::until(40.0)
        .fault_of("taken", "port_seizure", json!({}), 20.0, 30.0)
        .hit("taken", 21.0, 0, Impact::Refused);
    let story = change(story, 31.0, ServiceChange::Started(11));
    let story = change(story, 31.2, ServiceChange::Exited("exit code 3".into()));
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(finding.summary, "`web` was not started under `taken`");
}

#[test]
fn a_run_that_ended_before_the_bound_decides_nothing() {
    let story = Story::until(40.0);
    let story = change(story, 38.0, ServiceChange::Started(11));
    let story = change(story, 38.0, ServiceChange::Watched);
    let finding = story.judge("exit", json!({ "service": "web" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(finding.summary, "still running after 3 s");
}

#[test]
fn a_process_that_nobody_asked_is_not_known_to_be_unready() {
    let story = Story::until(40.0);
    let story = change(story, 21.0, ServiceChange::Started(11));
    let story = change(story, 21.2, ServiceChange::Exited("exit code 3".into()));
    let finding = story.judge("exit", json!({ "service": "web" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(finding.summary, "nobody asked whether it was ready");
    assert!(finding.help.unwrap().contains("`ready` path"));
}

#[test]
fn an_end_by_a_signal_has_no_exit_code() {
    let any = json!({ "service": "web", "fault": "taken" });
    let finding = taken("signal SIGABRT", 0.2).judge("exit", any);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "ended with signal SIGABRT");
}

#[test]
fn last_words_may_be_read_after_the_end() {
    let story = |when: f64| {
        let story = change(Story::until(40.0), 21.0, ServiceChange::Started(11));
        let story = change(story, 21.0, ServiceChange::Watched);
        let story = change(story, 21.2, ServiceChange::Exited("exit code 3".into()));
        let story = story.log("web", when, "cannot bind");
        story
            .judge("exit", json!({ "service": "web", "text": ["bind"] }))
            .verdict
    };
    assert_eq!(story(21.9), Verdict::Pass);
    assert_eq!(story(22.5), Verdict::Fail);
}

#[test]
fn a_text_that_may_stand_where_the_log_was_not_seen_is_not_missed() {
    let mut params = params();
    params["text"] = json!(["no such words"]);
    let judge = |story: Story| story.judge("exit", params.clone()).verdict;
    assert_eq!(judge(taken("exit code 3", 0.2)), Verdict::Fail);
    let unseen = taken("exit code 3", 0.2).log_gap("web", 21.15, Some(21.3));
    assert_eq!(judge(unseen), Verdict::Inconclusive);
    let before = taken("exit code 3", 0.2).log_gap("web", 5.0, Some(20.9));
    assert_eq!(judge(before), Verdict::Fail);
}
