use serde_json::{Value, json};

use crate::check::testing::Story;
use crate::check::{Finding, Verdict};
use crate::event::{ClosedBy, Impact};

/// Three sessions from 1 s on; a stall from 20 s to 28 s touches all three.
fn story() -> Story {
    let story = Story::until(60.0).fault("cut", 20.0, 28.0);
    (0..3).fold(story, |story, conn| {
        story
            .session(conn, 1.0)
            .hit("cut", 20.1, conn, Impact::Withheld)
    })
}

/// The client gives its three sessions up; the proxy can pass that on only when it has healed.
fn given_up(story: Story) -> Story {
    (0..3).fold(story, |story, conn| {
        story.closed(conn, 28.02, ClosedBy::Client)
    })
}

fn sessions(story: Story, from: u64, count: u64, opened: f64) -> Story {
    (from..from + count).fold(story, |story, conn| story.session(conn, opened))
}

fn judge(story: Story, demand: &Value) -> Finding {
    let mut params = json!({ "proxy": "db", "max": 5, "fault": "cut" });
    params
        .as_object_mut()
        .unwrap()
        .extend(demand.as_object().unwrap().clone());
    story.judge("pool", params)
}

#[test]
fn a_pool_that_is_as_before_passes() {
    let story = sessions(given_up(story()), 3, 3, 29.0);
    let finding = judge(story, &json!({ "min": 3, "leak": "20s" }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.evidence.len(), 3);
    assert!((finding.figures["sessions_max"] - 3.0).abs() < 1e-9);
    assert!(
        (finding.figures["refill_s"] - 0.991).abs() < 1e-6,
        "{finding:#?}"
    );
}

#[test]
fn more_sessions_than_declared_fail_and_one_more_for_a_moment_does_not() {
    let verdict = |count, demand| {
        let story = sessions(story(), 3, count, 5.0);
        let replaced = (3..3 + count).fold(story, |story, conn| {
            story.closed(conn, 5.9, ClosedBy::Client)
        });
        let finding = judge(replaced, &demand);
        (finding.verdict, finding.summary)
    };
    assert_eq!(verdict(3, json!({})).0, Verdict::Pass);
    let (failed, summary) = verdict(4, json!({}));
    assert_eq!(failed, Verdict::Fail);
    assert!(
        summary.starts_with("at most 7 sessions at once"),
        "{summary}"
    );
    let short = json!({ "overlap_for": "500ms" });
    assert_eq!(verdict(2, short.clone()).0, Verdict::Pass);
    assert_eq!(verdict(3, short).0, Verdict::Fail);
}

#[test]
fn one_session_too_many_for_good_fails() {
    let finding = judge(sessions(story(), 3, 3, 5.0), &json!({}));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert_eq!(finding.summary, "more than 5 sessions for 32 s, from 19 s");
}

#[test]
fn a_session_that_its_client_has_left_counts_no_more() {
    // A fault that delays what it carries holds back the end of each for five seconds.
    let story = (3..6).fold(sessions(story(), 3, 3, 5.0), |story, conn| {
        story.left(conn, 5.5, 10.5)
    });
    let finding = judge(story, &json!({ "max": 5 }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_pool_that_connects_on_demand_need_not_refill() {
    let finding = judge(sessions(given_up(story()), 3, 1, 29.0), &json!({}));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(finding.evidence.len(), 1);
    assert!(
        finding.notes[0].starts_with("at most 1 session after `cut`, 3 in the baseline"),
        "{:?}",
        finding.notes
    );
}

#[test]
fn victims_of_a_stall_are_not_counted_while_their_end_is_held_back() {
    // Under the stall the pool opens three others by another way; then all six are passed on.
    let early = sessions(given_up(story()), 3, 3, 22.0);
    let finding = judge(early, &json!({ "max": 3 }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    // An attempt that was given up under the stall is a session for a moment when it heals.
    let attempts = (10..16).fold(sessions(given_up(story()), 3, 3, 28.5), |story, conn| {
        story
            .opened(conn, 21.0)
            .hit("cut", 21.0, conn, Impact::Withheld)
            .ready(conn, 28.3)
            .closed(conn, 28.6, ClosedBy::Client)
    });
    let finding = judge(attempts, &json!({ "max": 3 }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_pool_that_stays_small_fails() {
    let one = || sessions(given_up(story()), 3, 1, 29.0);
    let finding = judge(one(), &json!({ "min": 3 }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding
            .summary
            .starts_with("at most 1 session of 3 in the 31.99 s"),
        "{}",
        finding.summary
    );
    assert_eq!(judge(one(), &json!({ "min": 1 })).verdict, Verdict::Pass);
    let late = sessions(one(), 4, 2, 45.0);
    let finding = judge(late, &json!({ "min": 3 }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.summary.starts_with("3 sessions again 16.99 s"),
        "{}",
        finding.summary
    );
}

#[test]
fn sessions_that_are_left_over_fail() {
    // The pool is refilled, and two sessions more stay for ever.
    let leaky = || sessions(given_up(story()), 3, 5, 29.0);
    let finding = judge(leaky(), &json!({ "leak": "20s" }));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert_eq!(finding.summary, "5 sessions left after `cut`");
    let closed = (6..8).fold(leaky(), |story, conn| {
        story.closed(conn, 40.0, ClosedBy::Client)
    });
    assert_eq!(
        judge(closed, &json!({ "leak": "20s" })).verdict,
        Verdict::Pass
    );
    let finding = judge(leaky(), &json!({ "leak": "40s" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn a_pool_that_was_still_filling_up_may_keep_what_it_is_to_keep() {
    let fuller = |min: u64| {
        let story = sessions(given_up(story()), 3, 5, 29.0);
        judge(story, &json!({ "min": min, "leak": "20s" })).verdict
    };
    assert_eq!(fuller(4), Verdict::Fail);
    assert_eq!(fuller(5), Verdict::Pass);
}

#[test]
fn a_run_that_ends_before_the_bound_decides_nothing() {
    let finding = judge(given_up(story()), &json!({ "min": 3, "within": "60s" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn sessions_of_other_applications_do_not_count() {
    let finding = judge(story(), &json!({ "application": "other" }));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(finding.summary, "no session was seen at `db`");
    let finding = judge(story(), &json!({ "application": "app" }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_fault_that_touched_nobody_decides_nothing() {
    let story = sessions(Story::until(60.0).fault("cut", 20.0, 28.0), 0, 3, 1.0);
    assert_eq!(judge(story, &json!({})).verdict, Verdict::Inconclusive);
}

#[test]
fn what_goes_away_again_is_no_leak_and_one_that_stays_is() {
    let refilled = || sessions(given_up(story()), 3, 3, 29.0);
    let passing = refilled()
        .session(6, 52.0)
        .closed(6, 54.0, ClosedBy::Client);
    let finding = judge(passing, &json!({ "leak": "20s" }));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    let staying = judge(refilled().session(6, 40.0), &json!({ "leak": "20s" }));
    assert_eq!(staying.verdict, Verdict::Fail);
    assert_eq!(staying.summary, "4 sessions left after `cut`");
}
