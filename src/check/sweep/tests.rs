use serde_json::json;

use super::*;
use crate::check::testing::{Story, at, not_ok, ok};
use crate::check::{Severity, SourceMap, judge};
use crate::event::{ClosedBy, Impact, Outcome};

/// A fault `cut`, in force for 4 s from 20 s on and for 8 s from 50 s on, and a service that is
/// back to normal so long after each.
fn story(back_after: [f64; 2]) -> Story {
    let lifts = [24.0, 58.0];
    let health = move |when: f64| -> (f64, Outcome) {
        let down = [20.0, 50.0]
            .into_iter()
            .zip(lifts.into_iter().zip(back_after))
            .any(|(from, (lift, back))| (from + 1.0..lift + back).contains(&when));
        (0.002, if down { not_ok() } else { ok() })
    };
    Story::until(90.0)
        .session(0, 1.0)
        .fault("cut", 20.0, 24.0)
        .hit("cut", 20.05, 0, Impact::Withheld)
        .closed(0, 21.0, ClosedBy::Client)
        .session(1, 25.0)
        .fault("cut", 50.0, 58.0)
        .hit("cut", 50.05, 1, Impact::Withheld)
        .closed(1, 51.0, ClosedBy::Client)
        .session(2, 59.0)
        .swept("cut", &["4s", "8s"])
        .samples(("health", "codebase"), 0.1, (0.0, 90.0), health)
        .samples(("reads", "codebase"), 0.05, (0.0, 90.0), |_| (0.01, ok()))
}

fn spec(name: &str, kind: &str, params: Value) -> CheckSpec {
    CheckSpec {
        name: name.into(),
        kind: kind.into(),
        severity: Severity::Error,
        params,
        source: SourceMap::default(),
    }
}

fn recovery() -> CheckSpec {
    let params = json!({ "service": "codebase", "fault": "cut", "within": "5s",
        "that": ["health.ok_ratio == 100%"] });
    spec("recovers", "recovery", params)
}

fn judged(story: Story, check: CheckSpec) -> (History, Finding) {
    let history = story.history(Some(check));
    let finding = judge(&history).remove(0);
    (history, finding)
}

#[test]
fn each_length_of_a_sweep_has_a_verdict_of_its_own() {
    let (_, good) = judged(story([1.0, 2.0]), recovery());
    assert_eq!(good.verdict, Verdict::Pass, "{good:#?}");
    assert_eq!(
        good.summary,
        "2 of 2 lengths pass; 8s: back to normal 1.99 s after `cut` (bound 5 s)"
    );
    let (_, late) = judged(story([1.0, 7.0]), recovery());
    assert_eq!(late.verdict, Verdict::Fail, "{late:#?}");
    let verdicts: Vec<_> = late.lengths.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail]);
    assert!(
        late.summary
            .starts_with("1 of 2 lengths pass; 8s: back to normal only 6.99 s"),
        "{}",
        late.summary
    );
    assert!(late.evidence[0].measured.starts_with("8s: "), "{late:#?}");
    let slowest = late.figures["cut.recovery_s"];
    assert!(
        (slowest - 6.99).abs() < 0.02,
        "the slowest length is the figure: {slowest}"
    );
    assert!(
        late.notes.iter().any(|note| note.starts_with("4s: ")),
        "{late:#?}"
    );
}

#[test]
fn a_window_of_a_swept_fault_is_judged_for_each_length() {
    let during = |window: &str| {
        let params =
            json!({ "probe": "health", "during": window, "that": ["health.ok_ratio == 100%"] });
        judged(story([0.0, 3.0]), spec("well", "health", params)).1
    };
    let recovering = during("recovery:cut");
    let verdicts: Vec<_> = recovering.lengths.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Fail], "{recovering:#?}");
    assert_eq!(recovering.evidence[0].window, Some((at(58.0), at(90.0))));
    assert!(during("baseline").lengths.is_empty());
}

#[test]
fn the_table_shows_the_slowest_figures_and_who_did_not_pass() {
    let (history, finding) = judged(story([1.0, 7.0]), recovery());
    let sweeps = sweeps(&history, &[finding]);
    assert_eq!(sweeps.len(), 1);
    let [short, long] = &sweeps[0].lengths[..] else {
        panic!("{sweeps:#?}");
    };
    assert_eq!(
        (&*sweeps[0].fault, &*short.length.to_string()),
        ("cut", "4s")
    );
    assert_eq!(
        (short.verdict, long.verdict),
        (Some(Verdict::Pass), Some(Verdict::Fail))
    );
    assert!(
        (short.recovery_s.unwrap() - 0.99).abs() < 0.02,
        "{short:#?}"
    );
    assert!((long.recovery_s.unwrap() - 6.99).abs() < 0.02, "{long:#?}");
    assert_eq!(long.checks, [("recovers".into(), Verdict::Fail)]);
    assert_eq!((short.detection_s, short.worst_case_s), (None, None));
}

/// The sweep, and a fault of its own after it, from which the service recovers too late.
fn beside_another() -> Story {
    let writes = |when: f64| match when {
        71.0..86.0 => (0.01, not_ok()),
        _ => (0.01, ok()),
    };
    story([1.0, 2.0])
        .fault("other", 70.0, 74.0)
        .hit("other", 70.05, 2, Impact::Withheld)
        .closed(2, 71.0, ClosedBy::Client)
        .session(3, 75.0)
        .samples(("writes", "codebase"), 0.1, (0.0, 90.0), writes)
}

#[test]
fn what_another_fault_did_is_told_of_no_length() {
    let both = |story: Story, faults: Value| {
        let params = json!({ "service": "codebase", "fault": faults, "within": "5s",
            "that": ["writes.error_rate == 0%"] });
        let (history, finding) = judged(story, spec("recovers", "recovery", params));
        let sweeps = sweeps(&history, std::slice::from_ref(&finding));
        let rows = sweeps.into_iter().flat_map(|sweep| sweep.lengths);
        let verdicts: Vec<_> = rows.filter_map(|row| row.verdict).collect();
        (verdicts, finding)
    };
    let (rows, finding) = both(beside_another(), json!(["other", "cut"]));
    assert_eq!(rows, [Verdict::Pass, Verdict::Pass], "{finding:#?}");
    assert_eq!(finding.verdict, Verdict::Fail, "the other fault counts");
    assert_eq!(
        finding.summary,
        "not back to normal 5 s after `other`: only 0 % of the requests were ok"
    );
    assert!(finding.figures.contains_key("cut.recovery_s"));
    let mentions = |of: &str| finding.lengths.iter().any(|one| one.summary.contains(of));
    assert!(mentions("`cut`") && !mentions("`other`"), "{finding:#?}");
    // Nor does one sweep name the lengths of another.
    let two = beside_another().swept("other", &["4s"]);
    let (rows, finding) = both(two, json!(["cut", "other"]));
    assert_eq!(
        rows,
        [Verdict::Pass, Verdict::Pass, Verdict::Fail],
        "{finding:#?}"
    );
    let (rows, _) = both(beside_another(), json!("cut"));
    assert_eq!(rows, [Verdict::Pass, Verdict::Pass]);
}

#[test]
fn a_window_over_more_than_one_length_is_judged_as_a_whole() {
    let during = |window: &str| {
        let params =
            json!({ "probe": "writes", "during": window, "that": ["writes.ok_ratio == 100%"] });
        judged(beside_another(), spec("well", "health", params)).1
    };
    for window in ["fault:cut..recovery:other", "baseline..recovery:cut"] {
        assert!(during(window).lengths.is_empty(), "{window}");
    }
    let own = during("fault:cut..recovery:cut");
    let verdicts: Vec<_> = own.lengths.iter().map(|one| one.verdict).collect();
    assert_eq!(verdicts, [Verdict::Pass, Verdict::Pass], "{own:#?}");
}

#[test]
fn a_length_that_never_came_is_inconclusive() {
    let story = story([1.0, 1.0]).swept("cut", &["4s", "8s", "16s"]);
    let (_, finding) = judged(story, recovery());
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    let last = &finding.lengths[2];
    assert_eq!(last.summary, "fault `cut` never happened");
}

#[test]
fn the_worst_case_follows_the_declared_backoff_to_the_end_of_each_outage() {
    // Attempts are made 1, 3, 7, 15 and 31 s after the first.
    let params = json!({ "proxy": "db", "fault": "other", "base": "1s", "max": "16s" });
    let declared = spec("backs-off", "backoff", params);
    let story = story([1.0, 1.0])
        .attempt(10, 21.0, 21.0)
        .attempt(11, 51.0, 51.5);
    let sweeps = sweeps(&story.history(Some(declared)), &[]);
    let worst = sweeps[0].lengths.iter().map(|one| one.worst_case_s);
    // 3 s after its first attempt the client may just have begun to wait 4 s; 7 s after it, each
    // attempt taking half a second, 4 s too.
    assert_eq!(worst.collect::<Vec<_>>(), [Some(4.0), Some(4.5)]);
}

#[test]
fn without_a_declared_backoff_the_next_wait_is_foretold_from_the_last_two() {
    let story = story([1.0, 1.0])
        .attempt(10, 21.0, 21.0)
        .attempt(11, 22.0, 22.0)
        .attempt(12, 23.5, 23.5);
    let sweeps = sweeps(&story.history(None), &[]);
    let worst = sweeps[0].lengths.iter().map(|one| one.worst_case_s);
    assert_eq!(worst.collect::<Vec<_>>(), [Some(2.25), None]);
}
