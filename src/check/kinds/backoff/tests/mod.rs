mod loops;

use serde_json::{Value, json};

use super::policy::{Jitter, Policy, Shape, peak};
use crate::check::testing::{Story, ok};
use crate::check::{Finding, Verdict};
use crate::event::{ClosedBy, Fact, Impact, Startup};

/// A session that is cut at 40 s, attempts at the given delays after the failure of the one before
/// (each takes 1 ms), and the heal at 52 s.
fn story(delays: &[f64]) -> Story {
    let mut story = bare();
    let mut failed = 40.0;
    for (index, delay) in delays.iter().enumerate() {
        let start = failed + delay;
        failed = start + 0.001;
        story = story.attempt(index as u64 + 1, start, failed);
    }
    story
}

fn bare() -> Story {
    let params = json!({ "mode": "reject" });
    Story::until(70.0)
        .session(0, 1.0)
        .fault_of("cut", "partition", params, 40.0, 52.0)
        .hit("cut", 40.0, 0, Impact::Closed)
        .closed(0, 40.0, ClosedBy::Fault("cut".into()))
        .samples(("writes", "codebase"), 0.05, (0.0, 70.0), |_| (0.01, ok()))
}

fn declared() -> Value {
    json!({ "proxy": "db", "fault": "cut", "shape": "exponential", "base": "250ms", "factor": 2.0,
        "max": "4s", "jitter": "20%", "lanes": 1, "min_attempts": 4, "max_rate": "10/s" })
}

fn judge(story: Story) -> Finding {
    story.judge("backoff", declared())
}

const GOOD: [f64; 5] = [0.25, 0.52, 0.95, 2.1, 3.9];

#[test]
fn a_declared_backoff_that_is_kept_passes() {
    let finding = judge(story(&GOOD));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "5 attempts in 12 s, 2 at most in one second"
    );
    assert!((finding.figures["gap_01_s"] - 0.52).abs() < 1e-6);
    assert_eq!(finding.evidence.len(), 4);
}

#[test]
fn a_policy_that_tries_at_once_and_waits_its_base_after_is_kept_too() {
    let finding = judge(story(&[0.0, 0.25, 0.5, 1.0, 2.0, 4.0]));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_storm_fails_by_rate_budget_and_shape() {
    let finding = judge(story(&[0.02; 400]));
    assert_eq!(finding.verdict, Verdict::Fail);
    let failed = finding
        .evidence
        .iter()
        .filter(|evidence| evidence.verdict == Verdict::Fail);
    assert_eq!(failed.count(), 3, "{finding:#?}");
}

#[test]
fn a_constant_delay_is_not_an_exponential_one() {
    let finding = judge(story(&[0.5; 20]));
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.summary.contains(" is 500 ms, not "),
        "{}",
        finding.summary
    );
}

#[test]
fn on_a_starved_machine_late_attempts_prove_nothing_and_too_many_still_do() {
    let late = || story(&[0.25, 0.5, 1.9, 2.0, 4.0]);
    assert_eq!(judge(late()).verdict, Verdict::Fail);
    assert_eq!(judge(late().busy(0.9)).verdict, Verdict::Fail);
    let finding = judge(late().busy(0.99));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.ends_with("but the machine was 99 % busy"));
    for early in [vec![0.02; 400], vec![0.5; 20]] {
        assert_eq!(judge(story(&early).busy(0.99)).verdict, Verdict::Fail);
    }
}

#[test]
fn a_gap_may_lie_on_the_edge_of_its_jitter_and_not_beyond() {
    for (delay, verdict) in [
        (1.196, Verdict::Pass),
        (1.245, Verdict::Pass),
        (1.27, Verdict::Fail),
        (0.797, Verdict::Pass),
        (0.78, Verdict::Fail),
    ] {
        let finding = judge(story(&[0.25, 0.5, delay, 2.0, 4.0]));
        assert_eq!(finding.verdict, verdict, "{delay}: {}", finding.summary);
    }
}

#[test]
fn the_wait_after_the_last_attempt_is_incomplete_and_not_judged() {
    // The attempt at 51.9 s is followed by the heal after 0.1 s, not by its 4 s.
    let finding = judge(story(&[0.25, 0.5, 1.0, 2.0, 4.0, 4.1]));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn the_gap_counts_from_the_failure_and_not_from_the_start_of_an_attempt() {
    // A deaf server: each attempt takes 1 s until the client's own deadline closes it.
    let mut story = bare();
    let mut failed = 40.0;
    for (conn, delay) in (1..).zip([0.25, 0.5, 1.0, 2.0]) {
        let start = failed + delay;
        failed = start + 1.0;
        story = story.attempt_of(conn, "app", start, failed, ClosedBy::Client);
    }
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_loop_that_never_ran_or_stopped_fails() {
    assert_eq!(judge(story(&[])).verdict, Verdict::Fail);
    let mut gave_up = declared();
    gave_up["min_attempts"] = json!(3);
    let finding = story(&[0.25, 0.5, 1.0]).judge("backoff", gave_up);
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(
        finding.summary.contains("no attempt in the last 10.25 s"),
        "{}",
        finding.summary
    );
}

#[test]
fn without_demand_the_absence_of_attempts_decides_nothing() {
    let story = Story::until(70.0)
        .session(0, 1.0)
        .fault("cut", 40.0, 52.0)
        .hit("cut", 40.0, 0, Impact::Closed);
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
}

#[test]
fn a_pool_need_not_dial_within_a_moment() {
    let cut = |to: f64| {
        let story = Story::until(70.0)
            .session(0, 1.0)
            .fault_of("cut", "disconnect", json!({}), 40.0, to)
            .hit("cut", 40.0, 0, Impact::Closed)
            .closed(0, 40.0, ClosedBy::Fault("cut".into()))
            .samples(("writes", "codebase"), 0.05, (0.0, 70.0), |_| (0.01, ok()));
        story.judge("backoff", json!({ "proxy": "db", "fault": "cut" }))
    };
    let moment = cut(40.1);
    assert_eq!(moment.verdict, Verdict::Inconclusive, "{moment:#?}");
    assert!(moment.summary.contains("no more could fit"), "{moment:#?}");
    assert_eq!(cut(45.0).verdict, Verdict::Fail);
}

/// As [`story`], at a port that is shut; each attempt is turned away with `impact`.
fn shut(delays: &[f64], impact: Impact) -> Story {
    let mut start = 40.0;
    delays.iter().fold(bare(), |story, delay| {
        start += delay;
        story.turned_away("cut", start, impact)
    })
}

#[test]
fn clients_that_a_shut_port_turns_away_are_attempts() {
    let kept = judge(shut(&GOOD, Impact::Refused));
    assert_eq!(kept.verdict, Verdict::Pass, "{kept:#?}");
    assert!((kept.figures["attempts"] - 5.0).abs() < 1e-9);
    let storm = judge(shut(&[0.02; 400], Impact::Refused));
    assert_eq!(storm.verdict, Verdict::Fail, "{storm:#?}");
}

#[test]
fn of_clients_without_an_answer_the_number_counts_and_no_gap() {
    let finding = judge(shut(&GOOD, Impact::Withheld));
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert!(finding.summary.contains("0 gaps to judge"), "{finding:#?}");
    let storm = judge(shut(&[0.02; 400], Impact::Withheld));
    assert_eq!(storm.verdict, Verdict::Fail, "{storm:#?}");
}

#[test]
fn attempts_that_could_not_be_counted_leave_the_check_open() {
    let uncounted = Fact::RefusalsUncounted {
        fault: "cut".into(),
        proxy: "db".into(),
    };
    let finding = judge(bare().fact(40.0, uncounted));
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert!(finding.help.unwrap().contains("CAP_NET_RAW"));
}

#[test]
fn fallbacks_fold_into_one_attempt_and_cancels_and_probes_are_none() {
    let mut story = bare();
    let mut failed = 40.0;
    for (round, delay) in (1..).zip(GOOD) {
        let (start, conn) = (failed + delay, round * 10);
        let reset = || ClosedBy::Fault("cut".into());
        story = story
            .opened(conn, start)
            .packet(conn, start, Startup::Gss)
            .closed(conn, start + 0.001, reset())
            .opened(conn + 1, start + 0.002)
            .packet(conn + 1, start + 0.002, Startup::Ssl)
            .closed(conn + 1, start + 0.003, reset())
            .attempt(conn + 2, start + 0.004, start + 0.005)
            .opened(conn + 3, start + 0.1)
            .packet(conn + 3, start + 0.1, Startup::Cancel)
            .closed(conn + 3, start + 0.1, ClosedBy::Client)
            .opened(conn + 4, start + 0.15)
            .closed(conn + 4, start + 0.15, ClosedBy::Client);
        failed = start + 0.005;
    }
    let finding = judge(story);
    assert_eq!(finding.figures["attempts"].to_bits(), 5.0_f64.to_bits());
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
}

#[test]
fn a_gap_begins_when_the_client_gave_up_not_when_the_fault_let_its_end_through() {
    let mut story = bare();
    let mut gave_up = 40.0;
    for (conn, delay) in (1..).zip(GOOD) {
        let start = gave_up + delay;
        gave_up = start + 0.001;
        story = story
            .opened(conn, start)
            .packet(conn, start, Startup::Ssl)
            .left(conn, gave_up, 52.0);
    }
    let finding = judge(story);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!((finding.figures["gap_01_s"] - 0.52).abs() < 1e-6);
}

#[test]
fn a_storm_of_encryption_requests_is_not_folded_away() {
    let mut story = bare();
    for conn in 1..=200 {
        let start = 40.0 + 0.01 * conn as f64;
        story = story
            .opened(conn, start)
            .packet(conn, start, Startup::Ssl)
            .closed(conn, start + 0.001, ClosedBy::Fault("cut".into()));
    }
    let finding = judge(story);
    assert_eq!(finding.figures["attempts"].to_bits(), 200.0_f64.to_bits());
    assert_eq!(finding.verdict, Verdict::Fail);
}

#[test]
fn an_undeclared_policy_is_held_to_a_budget_and_no_shape() {
    let params = json!({ "proxy": "db", "fault": "cut" });
    let polite = story(&[0.5; 10]).judge("backoff", params.clone());
    assert_eq!(polite.verdict, Verdict::Pass, "{polite:#?}");
    let storm = story(&[0.05; 200]).judge("backoff", params);
    assert_eq!(storm.verdict, Verdict::Fail);
}

#[test]
fn everything_holds_ten_times_faster() {
    let scaled = |delays: &[f64]| {
        let mut story = Story::until(70.0)
            .fault("cut", 40.0, 41.2)
            .hit("cut", 40.0, 0, Impact::Closed)
            .samples(("writes", "codebase"), 0.01, (0.0, 70.0), |_| (0.01, ok()));
        let mut failed = 40.0;
        for (conn, delay) in (1..).zip(delays) {
            let start = failed + delay;
            failed = start + 0.001;
            if start < 41.2 {
                story = story.attempt(conn, start, failed);
            }
        }
        let mut params = declared();
        params["base"] = json!("25ms");
        params["max"] = json!("400ms");
        params["max_rate"] = json!("100/s");
        story.judge("backoff", params).verdict
    };
    assert_eq!(
        scaled(&[0.027, 0.052, 0.098, 0.21, 0.4, 0.4]),
        Verdict::Pass
    );
    assert_eq!(scaled(&[0.005; 300]), Verdict::Fail);
}

#[test]
fn the_budget_of_a_policy_without_dice_is_what_it_does() {
    let policy = Policy {
        shape: Shape::Exponential,
        base: 1.0,
        factor: 2.0,
        max: 30.0,
        jitter: Jitter::None,
        tries: None,
    };
    let mut rng = rand::SeedableRng::seed_from_u64(1);
    // At 0, 1, 3, 7 and 15 s.
    let budget = policy.budget(1, 16.0, &[], &mut rng);
    assert_eq!(budget.total.to_bits(), 5.0_f64.to_bits());
    let two = policy.budget(2, 16.0, &[], &mut rng);
    assert_eq!(two.total.to_bits(), 10.0_f64.to_bits());
    assert_eq!(two.per_second.to_bits(), 2.0_f64.to_bits());
    let limited = Policy {
        tries: Some(3),
        ..policy
    };
    let budget = limited.budget(2, 16.0, &[], &mut rng);
    assert_eq!(budget.total.to_bits(), 6.0_f64.to_bits());
}

#[test]
fn the_delays_of_a_policy_have_the_range_of_their_jitter() {
    let policy = |jitter: &str| Policy {
        jitter: jitter.parse().unwrap(),
        base: 1.0,
        max: 3.0,
        ..Policy::DEFAULT
    };
    assert_eq!(policy("none").range(1, None), (2.0, 2.0));
    assert_eq!(policy("25%").range(1, None), (1.5, 2.5));
    assert_eq!(policy("equal").range(5, None), (1.5, 3.0));
    assert_eq!(policy("full").range(0, None), (0.0, 1.0));
    assert_eq!(policy("decorrelated").range(3, Some(0.5)), (1.0, 1.5));
    assert!("20".parse::<Jitter>().is_err());
    assert_eq!(peak(&[0.0, 0.5, 0.9, 1.0, 1.4]), 4);
}

#[test]
fn a_wait_that_is_under_way_at_the_heal_is_told_from_the_length_of_the_outage() {
    let policy = |jitter: &str| Policy {
        jitter: jitter.parse().unwrap(),
        base: 1.0,
        max: 30.0,
        ..Policy::DEFAULT
    };
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found}");
    // Waits from 0, 1, 3 and 7 s on.
    close(policy("none").under_way(0.5, 0.0), 1.0);
    close(policy("none").under_way(6.9, 0.0), 4.0);
    close(policy("none").under_way(7.0, 0.0), 8.0);
    close(policy("20%").under_way(6.9, 0.0), 9.6);
    close(policy("full").under_way(0.5, 0.0), 30.0);
}

/// Attempts of `lanes` loops in the rounds of `GOOD`, each `late(loop, round)` seconds late.
fn herd_story(lanes: u32, late: impl Fn(u32, usize) -> f64) -> Story {
    let mut story = bare();
    let mut conn = 1;
    for lane in 0..lanes {
        let mut failed = 40.0;
        for (round, delay) in [0.0, 0.25, 0.5, 1.0, 2.0, 4.0].iter().enumerate() {
            let start = failed + delay + late(lane, round);
            failed = start + 0.001;
            let application = format!("app-{lane}");
            let cause = ClosedBy::Fault("cut".into());
            story = story.attempt_of(conn, &application, start, failed, cause);
            conn += 1;
        }
    }
    story
}

fn of_five(more: &Value) -> Value {
    let mut params = declared();
    params["lanes"] = json!(5);
    params["max_rate"] = json!("50/s");
    let more = more.as_object().unwrap().clone();
    params.as_object_mut().unwrap().extend(more);
    params
}

#[test]
fn loops_that_dial_together_round_after_round_fail_with_the_moments() {
    let herd = || herd_story(5, |lane, _| f64::from(lane) * 0.0005);
    let finding = herd().judge("backoff", of_five(&json!({})));
    assert_eq!(finding.verdict, Verdict::Fail, "{finding:#?}");
    assert!(
        finding
            .summary
            .contains("dialled together 5 times after the first: 5 of 5 within 4 ms"),
        "{}",
        finding.summary
    );
    let in_step = herd_story(5, |_, _| 0.0);
    let allowed = in_step.judge("backoff", of_five(&json!({ "spread": "0%" })));
    assert_eq!(allowed.verdict, Verdict::Pass, "{allowed:#?}");
}

#[test]
fn loops_that_drift_apart_are_no_herd() {
    // Each waits its own part of what the jitter of a fifth allows.
    let apart = herd_story(5, |lane, round| {
        let delay = [0.0, 0.25, 0.5, 1.0, 2.0, 4.0][round];
        delay * (f64::from((lane * 7 + u32::try_from(round).unwrap() * 3) % 5) - 2.0) * 0.09
    });
    let finding = apart.judge("backoff", of_five(&json!({})));
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert!(
        finding
            .evidence
            .iter()
            .any(|one| one.expected.contains("do not dial together"))
    );
}

#[test]
fn too_few_loops_or_rounds_are_not_called_a_herd() {
    let two = herd_story(2, |_, _| 0.0).judge("backoff", {
        let mut params = of_five(&json!({}));
        params["lanes"] = json!(2);
        params
    });
    assert!(
        two.evidence
            .iter()
            .all(|one| !one.expected.contains("together")),
        "{two:#?}"
    );
}

#[test]
fn a_loop_that_gives_up_after_its_tries_keeps_its_word() {
    let limited = |most: u32| {
        let mut params = declared();
        params["max_tries"] = json!(most);
        params["min_attempts"] = json!(3);
        params
    };
    let three = || story(&[0.25, 0.5, 1.0]);
    let kept = three().judge("backoff", limited(3));
    assert_eq!(kept.verdict, Verdict::Pass, "{kept:#?}");
    // Without the promise, the silence of 10 s is a loop that stopped.
    assert_eq!(judge(three()).verdict, Verdict::Fail);
    let early = three().judge("backoff", limited(5));
    assert_eq!(early.verdict, Verdict::Fail, "{early:#?}");
    assert!(
        early.summary.contains("no attempt in the last"),
        "{}",
        early.summary
    );
    let more = story(&GOOD).judge("backoff", limited(3));
    assert_eq!(more.verdict, Verdict::Fail);
    assert!(
        more.summary.contains("5 attempts in one outage"),
        "{}",
        more.summary
    );
}

#[test]
fn the_first_attempt_must_come_soon_enough_after_the_loss() {
    let soon = |story: Story, first: &str| {
        let mut params = declared();
        params["first"] = json!(first);
        params["min_attempts"] = json!(1);
        story.judge("backoff", params)
    };
    assert_eq!(soon(story(&GOOD), "250ms").verdict, Verdict::Pass);
    let late = soon(story(&GOOD), "150ms");
    assert_eq!(late.verdict, Verdict::Fail);
    assert!(
        late.summary.contains("first attempt 250 ms after the loss"),
        "{}",
        late.summary
    );
    let never = soon(story(&[]), "5s");
    assert_eq!(never.verdict, Verdict::Fail);
    assert!(
        never.summary.contains("no attempt in the 12 s"),
        "{}",
        never.summary
    );
    let not_yet = soon(story(&[]), "15s");
    let first = not_yet
        .evidence
        .iter()
        .find(|one| one.expected.contains("first attempt"));
    assert_eq!(first.unwrap().verdict, Verdict::Inconclusive);
}

#[test]
fn a_stall_in_which_nothing_had_to_be_replaced_decides_nothing() {
    // The pool has connections to spare: whoever asks waits for the answer, and no client leaves.
    let spare = || {
        Story::until(70.0)
            .session(0, 1.0)
            .session(1, 1.0)
            .fault("cut", 40.0, 52.0)
            .hit("cut", 40.0, 0, Impact::Withheld)
            .samples(("writes", "codebase"), 0.05, (0.0, 70.0), |_| (0.01, ok()))
    };
    let finding = judge(spare());
    assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "0 attempts in 12 s, and no connection had to be replaced"
    );
    let given_up = judge(spare().left(0, 45.0, 52.1));
    assert_eq!(given_up.verdict, Verdict::Fail, "{given_up:#?}");
}

#[test]
fn a_pool_with_no_declared_policy_passes_with_any_few_attempts() {
    let params = json!({ "proxy": "db", "fault": "cut", "lanes": 4 });
    let stall = |attempts: u64| {
        let mut story = Story::until(70.0)
            .session(0, 1.0)
            .fault("cut", 40.0, 45.0)
            .hit("cut", 40.0, 0, Impact::Withheld)
            .left(0, 41.0, 45.0)
            .samples(("writes", "codebase"), 0.05, (0.0, 70.0), |_| (0.01, ok()));
        for conn in 1..=attempts {
            let start = 41.0 + 0.3 * conn as f64;
            story = story.attempt_of(conn, "app", start, start + 1.0, ClosedBy::Client);
        }
        story.judge("backoff", params.clone())
    };
    for attempts in 1..=12 {
        let finding = stall(attempts);
        assert_eq!(finding.verdict, Verdict::Pass, "{attempts}: {finding:#?}");
    }
    assert_eq!(stall(0).verdict, Verdict::Fail, "it gave up a connection");
    for attempts in 1..=3 {
        let mut story = bare();
        for conn in 1..=attempts {
            story = story.attempt(conn, 40.01, 40.02);
        }
        let finding = story.judge("backoff", params.clone());
        assert_eq!(finding.verdict, Verdict::Pass, "{attempts}: {finding:#?}");
    }
}
