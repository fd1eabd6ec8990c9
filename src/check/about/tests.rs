use serde_json::{Value, json};

use crate::check::baseline::{Baseline, RunFigures, figures};
use crate::check::testing::{Story, not_ok, ok};
use crate::check::{Verdict, kinds};
use crate::event::{ClosedBy, Fact, Fate, Impact, ServiceChange};

/// A run with which every type of check can be content: whatever is to go on goes on, and what is
/// to notice the fault from 20 s to 32 s notices it.
fn run(touched: bool, ends_at: Option<f64>) -> Story {
    let params = json!({ "mode": "reject" });
    let mut story = Story::until(60.0)
        .session(0, 1.0)
        .fault_of("cut", "partition", params, 20.0, 32.0)
        .closed(0, 20.0, ClosedBy::Fault("cut".into()))
        .session(50, 33.0)
        .samples(("reads", "web"), 0.01, (0.0, 60.0), |_| (0.01, ok()))
        .digests("reads", |_| "right")
        .samples(("health", "web"), 0.1, (0.0, 60.0), |when| {
            let lost = (21.0..32.0).contains(&when);
            (0.002, if lost { not_ok() } else { ok() })
        })
        .log("web", 21.0, "database lost")
        .write("a", 15.0, Fate::Ok)
        .write("b", 21.0, Fate::Ok);
    let mut failed = 20.0;
    for (conn, delay) in (1..).zip([0.25, 0.52, 0.95, 2.1, 3.9]) {
        story = story.attempt(conn, failed + delay, failed + delay + 0.001);
        failed += delay + 0.001;
    }
    for change in [
        ServiceChange::Started(11),
        ServiceChange::Watched,
        ServiceChange::Exited("exit code 3".into()),
    ] {
        let (service, Some(ends_at)) = ("job".into(), ends_at) else {
            continue;
        };
        story = story.fact(ends_at, Fact::Service { service, change });
    }
    for second in 12_u32..50 {
        let items = u64::from(second.min(20) - 12 + second.max(33) - 33);
        story = story.fact(f64::from(second), job(items));
    }
    let story = facts_at_the_end(story);
    if touched {
        story.hit("cut", 20.0, 0, Impact::Closed)
    } else {
        story
    }
}

fn job(items: u64) -> Fact {
    Fact::JobStatus {
        workload: "index".into(),
        job: "1".into(),
        progress: Some(items),
        done: items == 24,
        state: None,
    }
}

fn facts_at_the_end(story: Story) -> Story {
    let rows = ["a", "b"].map(|key| (key.to_owned(), 1)).into();
    story.fact(
        60.5,
        Fact::LedgerRead {
            ledger: "chunks".into(),
            rows: Ok(rows),
        },
    )
}

/// The baseline of three runs like this one.
fn stored() -> Fact {
    let one = || RunFigures {
        run: uuid::Uuid::nil(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        scenario: "s.toml".into(),
        machine: [].into(),
        figures: figures(&run(true, None).history(None)),
    };
    Fact::StoredBaseline {
        check: "it".into(),
        text: Ok(Baseline::of(vec![one(), one(), one()]).unwrap().text()),
        machine: [].into(),
    }
}

/// Parameters with which a check of this type passes on [`run`].
fn content(kind: &str) -> Value {
    let during = "fault:cut..recovery:cut";
    match kind {
        "detection" => json!({ "service": "web", "fault": "cut", "within": "5s",
            "all_of": [{ "probe": "health", "answers": "not_ok" }] }),
        "backoff" => json!({ "proxy": "db", "fault": "cut", "base": "250ms", "max": "4s",
            "jitter": "20%", "min_attempts": 4 }),
        "recovery" => json!({ "service": "web", "fault": "cut", "within": "10s",
            "that": ["reads.error_rate == 0%"] }),
        "isolation" => json!({ "service": "web", "during": during,
            "that": ["reads.error_rate == 0%"] }),
        "integrity" => json!({ "ledger": "chunks", "lost": 0, "duplicated": 0, "phantom": 0 }),
        "job" => json!({ "workload": "index", "fault": "cut" }),
        "health" => json!({ "probe": "health", "during": during, "that": ["health.p99 <= 50ms"] }),
        "slo" => json!({ "that": ["reads.p95 <= 50ms"] }),
        "availability" => json!({ "source": "reads", "target": "99%" }),
        "pool" => json!({ "proxy": "db", "max": 5 }),
        "answer" => json!({ "source": "reads" }),
        "log" => json!({ "service": "web", "contains": ["database lost"] }),
        "exit" => json!({ "service": "job", "code": 3, "fault": "cut" }),
        "regression" => json!({ "baseline": "b.json", "figures": ["reads.p95_s"] }),
        _ => panic!("write what a check of type `{kind}` is content with"),
    }
}

#[test]
fn a_check_of_any_type_passes_only_if_its_fault_touched_somebody() {
    let mut judged = 0;
    for kind in kinds() {
        let judge = |story: Story, params: Value| {
            let finding = story.fact(0.0, stored()).judge(kind.name, params);
            (finding.verdict, finding.summary)
        };
        let mut demands = vec![content(kind.name)];
        if kind.name == "pool" {
            let mut named = content(kind.name);
            named["fault"] = json!("cut");
            demands.push(named);
        }
        // A service that ended meets what one meets that does nothing.
        let ends_at = (kind.name == "exit").then_some(21.0);
        for params in demands {
            let (verdict, summary) = judge(run(true, ends_at), params.clone());
            assert_eq!(verdict, Verdict::Pass, "{}: {summary}", kind.name);
            let (verdict, summary) = judge(run(false, ends_at), params);
            assert_eq!(verdict, Verdict::Inconclusive, "{}: {summary}", kind.name);
            let why = "fault `cut` touched 0 connections, at least 1 needed";
            assert!(summary.starts_with(why), "{}: {summary}", kind.name);
            judged += 1;
        }
    }
    assert_eq!(
        judged, 15,
        "fourteen types, one of them with and without a fault"
    );
}

#[test]
fn what_fails_beside_a_fault_that_touched_nobody_fails_all_the_same() {
    let verdict = |kind: &str, params| run(false, Some(21.0)).judge(kind, params).verdict;
    for (kind, params) in [
        ("slo", json!({ "that": ["reads.p95 <= 5ms"] })),
        ("pool", json!({ "proxy": "db", "max": 0, "overlap": 0 })),
        ("exit", json!({ "service": "job", "code": 4 })),
    ] {
        assert_eq!(verdict(kind, params), Verdict::Fail, "{kind}");
    }
    // But not what is said to come of the fault.
    let named = json!({ "service": "job", "code": 4, "fault": "cut" });
    assert_eq!(verdict("exit", named), Verdict::Inconclusive);
}
