use serde_json::json;

use crate::check::testing::Story;
use crate::check::{Finding, Verdict};
use crate::event::{Fact, Impact};

/// A job that is asked each 250 ms from 12 s on, a fault from 20 s to 28 s.
fn story(progress: impl Fn(f64) -> u64) -> Story {
    let mut story =
        Story::until(60.0)
            .fault("cut", 20.0, 28.0)
            .hit("cut", 20.0, 0, Impact::Withheld);
    for poll in 0..190 {
        let when = 12.0 + 0.25 * f64::from(poll);
        let items = progress(when).min(1_000);
        let status = Fact::JobStatus {
            workload: "index".into(),
            job: "1".into(),
            progress: Some(items),
            done: items == 1_000,
            state: Some(
                if items == 1_000 {
                    "completed"
                } else {
                    "running"
                }
                .into(),
            ),
        };
        story = story.fact(when, status);
    }
    story
}

/// 40 items a second, none while the database is gone.
fn paused(when: f64) -> u64 {
    items(when - (when - 20.0).clamp(0.0, 9.0))
}

fn items(when: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "small"
    )]
    let items = ((when - 12.0) * 40.0) as u64;
    items
}

fn stored(story: Story, files: u64, distinct: u64) -> Story {
    let rows = Ok(vec![vec![json!(files), json!(distinct)]]);
    story.fact(
        60.5,
        Fact::Query {
            check: "it".into(),
            rows,
        },
    )
}

fn judge(story: Story) -> Finding {
    let verify = json!({ "database": "db", "sql": "SELECT 1", "equals": [1000, 1000] });
    let params = json!({ "workload": "index", "fault": "cut", "verify": verify });
    story.judge("job", params)
}

#[test]
fn a_job_that_pauses_resumes_and_finishes_passes() {
    let finding = judge(stored(story(paused), 1_000, 1_000));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!(
        finding
            .summary
            .starts_with("done, each item once; resumed within 1.")
    );
    assert_eq!(finding.evidence.len(), 5);
    assert!(finding.figures["job_s"] > 30.0);
}

#[test]
fn a_job_at_100_percent_with_a_wrong_count_fails() {
    let lost = judge(stored(story(paused), 990, 990));
    assert_eq!(lost.verdict, Verdict::Fail);
    assert_eq!(lost.summary, "stored: 990, 990");
    let doubled = judge(stored(story(paused), 1_010, 1_000));
    assert_eq!(doubled.verdict, Verdict::Fail);
}

#[test]
fn items_that_are_marked_done_without_a_database_fail() {
    let finding = judge(stored(story(items), 1_000, 1_000));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding.summary.contains("items marked done during `cut`"),
        "{}",
        finding.summary
    );
}

#[test]
fn what_was_stored_before_the_fault_may_become_known_under_it() {
    let finding = judge(stored(story(|when| paused(when - 0.2)), 1_000, 1_000));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn progress_that_goes_back_fails() {
    let restarts = |when: f64| {
        if when < 28.0 {
            paused(when)
        } else {
            items(when - 16.0)
        }
    };
    let finding = judge(stored(story(restarts), 1_000, 1_000));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.summary.contains("progress fell from 320 to 0"),
        "{}",
        finding.summary
    );
}

#[test]
fn a_job_that_stays_behind_fails() {
    let stuck = judge(story(|when| paused(when).min(320)));
    assert_eq!(stuck.verdict, Verdict::Fail);
    assert!(
        stuck
            .summary
            .contains("still `running` at 320 items at the end"),
        "{}",
        stuck.summary
    );
    assert!(
        stuck.summary.contains("no progress after `cut`"),
        "{}",
        stuck.summary
    );
}

#[test]
fn a_job_that_the_fault_did_not_meet_decides_nothing() {
    let early = judge(stored(story(|_| 1_000), 1_000, 1_000));
    assert_eq!(early.verdict, Verdict::Inconclusive, "{early:#?}");
    let silent = Story::until(60.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld);
    assert_eq!(judge(silent).verdict, Verdict::Inconclusive);
    let unverified = judge(story(paused));
    assert_eq!(unverified.verdict, Verdict::Inconclusive);
    assert_eq!(unverified.summary, "stored: the query was never asked");
}

#[test]
fn a_job_that_ended_failed_is_not_called_still_running() {
    let status = |state: &str| Fact::JobStatus {
        workload: "index".into(),
        job: "1".into(),
        progress: Some(320),
        done: false,
        state: Some(state.into()),
    };
    let story = story(|when| paused(when).min(320));
    let finding = judge(story.fact(60.2, status("FAILED")));
    assert_eq!(finding.verdict, Verdict::Fail);
    let said = "the job ended `FAILED` at 320 items";
    assert!(finding.summary.contains(said), "{}", finding.summary);
}

#[test]
fn a_job_that_was_interrupted_is_not_held_to_its_end() {
    let stuck = story(|when| paused(when).min(320));
    let signal = "SIGINT".to_owned();
    let finding = judge(stuck.fact(59.0, Fact::Interrupted { signal }));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}
