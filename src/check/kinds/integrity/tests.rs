use std::collections::BTreeMap;

use serde_json::json;

use super::{Integrity, Params};
use crate::check::testing::Story;
use crate::check::{Check as _, Finding, Outlook, Verdict};
use crate::event::{Fact, Fate, Impact};

/// Acknowledged before and under the fault, refused, and two of unknown fate.
fn story() -> Story {
    Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .write("a", 15.0, Fate::Ok)
        .write("b", 21.0, Fate::Ok)
        .write("refused", 22.0, Fate::Fail)
        .write("unknown", 23.0, Fate::Unknown)
        .write("vanished", 24.0, Fate::Unknown)
}

fn judge(story: Story, found: &[(&str, u64)]) -> Finding {
    let rows: BTreeMap<String, u64> = found
        .iter()
        .map(|(key, count)| ((*key).to_owned(), *count))
        .collect();
    let read = Fact::LedgerRead {
        ledger: "chunks".into(),
        rows: Ok(rows),
    };
    let params = json!({ "ledger": "chunks", "lost": 0, "duplicated": 0, "phantom": 0 });
    story.fact(40.5, read).judge("integrity", params)
}

#[test]
fn writes_that_are_where_they_should_be_pass_and_an_unknown_one_may_be_found() {
    let finding = judge(story(), &[("a", 1), ("b", 1), ("unknown", 1)]);
    assert_eq!(finding.verdict, Verdict::Pass, "{finding:#?}");
    assert_eq!(
        finding.summary,
        "2 writes acknowledged, all there once; 2 of unknown fate, 1 of them there"
    );
}

#[test]
fn each_flaw_fails_and_names_a_key() {
    for (found, flaw) in [
        (vec![("a", 1)], "1 lost, such as `b`"),
        (vec![("a", 1), ("b", 2)], "1 duplicated, such as `b`"),
        (
            vec![("a", 1), ("b", 1), ("unknown", 2)],
            "1 duplicated, such as `unknown`",
        ),
        (
            vec![("a", 1), ("b", 1), ("stranger", 1)],
            "1 phantom, such as `stranger`",
        ),
        (
            vec![("a", 1), ("b", 1), ("refused", 1)],
            "1 resurrected, such as `refused`",
        ),
    ] {
        let finding = judge(story(), &found);
        assert_eq!(finding.verdict, Verdict::Fail, "{found:?}");
        assert_eq!(finding.summary, flaw);
        assert!(finding.help.is_some());
    }
}

#[test]
fn a_write_that_was_refused_and_then_acknowledged_must_be_there() {
    let retried = || {
        story()
            .write("again", 22.0, Fate::Fail)
            .write("again", 23.0, Fate::Ok)
    };
    let there = judge(retried(), &[("a", 1), ("b", 1), ("again", 1)]);
    assert_eq!(there.verdict, Verdict::Pass, "{there:#?}");
    assert_eq!(
        judge(retried(), &[("a", 1), ("b", 1)]).verdict,
        Verdict::Fail
    );
}

#[test]
fn nothing_is_proven_where_no_write_was_at_risk() {
    let before_only = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .hit("cut", 20.0, 0, Impact::Withheld)
        .write("a", 15.0, Fate::Ok)
        .write("refused", 22.0, Fate::Fail);
    let finding = judge(before_only, &[("a", 1)]);
    assert_eq!(finding.verdict, Verdict::Inconclusive);
    assert_eq!(
        finding.summary,
        "no write was at risk while `cut` was in force"
    );
    let untouched = Story::until(40.0)
        .fault("cut", 20.0, 28.0)
        .write("a", 21.0, Fate::Ok);
    assert_eq!(judge(untouched, &[("a", 1)]).verdict, Verdict::Inconclusive);
    let never_ok = Story::until(40.0).write("a", 21.0, Fate::Unknown);
    assert_eq!(judge(never_ok, &[]).verdict, Verdict::Inconclusive);
}

#[test]
fn without_a_read_back_nothing_is_known() {
    let params = json!({ "ledger": "chunks" });
    let never = story().judge("integrity", params.clone());
    assert_eq!(never.verdict, Verdict::Inconclusive);
    let read = Fact::LedgerRead {
        ledger: "chunks".into(),
        rows: Err("connection refused".into()),
    };
    let failed = story().fact(40.5, read).judge("integrity", params);
    assert_eq!(failed.verdict, Verdict::Inconclusive);
    assert!(
        failed.summary.ends_with("connection refused"),
        "{}",
        failed.summary
    );
}

#[test]
fn writes_are_at_no_risk_without_a_fault_and_one_with_a_mistake_is_a_fault() {
    let params: Params = serde_json::from_value(json!({ "ledger": "rows" })).unwrap();
    let mut outlook = Outlook::default();
    assert_eq!(Integrity::lint(&params, &outlook).len(), 1);
    outlook.unread.insert("cut".into());
    assert_eq!(Integrity::lint(&params, &outlook).len(), 0);
}
