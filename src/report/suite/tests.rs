use super::*;
use crate::event::{Event, Fact, Header, JOURNAL_FORMAT, Phase};
use crate::report::{EvidenceRecord, Place, build};
use crate::units::Moment;

use CheckVerdict::{Aborted, Fail, Inconclusive, Pass};

/// A finished run with these checks, each demanded in a line of its own.
fn run(checks: &[(&str, CheckVerdict)]) -> Run {
    let phases = [Phase::Experiment, Phase::Settle];
    let events = phases.map(|phase| Event {
        at: Moment::from_nanos(1_500_000_000),
        fact: Fact::Phase { phase },
    });
    let header = Header {
        journal_format: JOURNAL_FORMAT,
        chaosproxy: "0.1.0".into(),
        run: uuid::Uuid::nil(),
        started_at: jiff::Timestamp::UNIX_EPOCH,
        scenario_path: "a.toml".into(),
        scenario_text: String::new(),
        scenario_sha256: String::new(),
        seed: 7,
        plan: serde_json::to_value(crate::check::Experiment {
            title: "it | holds".into(),
            ..Default::default()
        })
        .unwrap(),
        environment: std::collections::BTreeMap::new(),
    };
    let mut report = build(&header, &events).unwrap();
    let records = checks.iter().enumerate();
    report.checks = records
        .map(|(index, (name, verdict))| record(name, *verdict, index + 1))
        .collect();
    let worst = |wanted| checks.iter().any(|(_, verdict)| *verdict == wanted);
    (report.outcome, report.exit_code) = if worst(Fail) {
        (Outcome::Failed, 1)
    } else if worst(Inconclusive) {
        (Outcome::Inconclusive, 4)
    } else {
        (Outcome::Passed, 0)
    };
    Run {
        report,
        scenario: String::new(),
        folder: "r/a".into(),
    }
}

fn record(name: &str, verdict: CheckVerdict, line: usize) -> CheckRecord {
    let evidence = EvidenceRecord {
        verdict: crate::check::Verdict::Fail,
        expected: "e".into(),
        measured: "m".into(),
        place: Some(Place {
            line,
            column: 3,
            start: 0,
            end: 1,
        }),
        window_s: None,
        samples: 1,
        reasons: Vec::new(),
    };
    CheckRecord {
        name: name.into(),
        kind: "health".into(),
        severity: Severity::Error,
        verdict,
        place: None,
        summary: format!("{name}: 50 % of it"),
        evidence: vec![evidence],
        figures: std::collections::BTreeMap::new(),
        notes: Vec::new(),
        help: (verdict == Fail).then(|| "mend it".to_owned()),
        lengths: Vec::new(),
    }
}

fn early(outcome: Outcome, exit_code: u8) -> Run {
    let mut run = run(&[("x", Aborted)]);
    (run.report.outcome, run.report.exit_code) = (outcome, exit_code);
    run.report.reason = Some("of something".to_owned());
    run
}

fn series(path: &str, runs: Vec<Run>) -> Series {
    let mut series = Series::new(path.to_owned());
    series.repetitions = runs.into_iter().map(Repetition::new).collect();
    series
}

fn code(runs: Vec<Run>) -> u8 {
    let series = runs.into_iter().map(|run| series("a.toml", vec![run]));
    Suite {
        series: series.collect(),
    }
    .exit_code()
}

#[test]
fn the_gravest_file_gives_the_exit_code() {
    let passed = || run(&[("x", Pass)]);
    let failed = || run(&[("x", Fail)]);
    let unsure = || run(&[("x", Inconclusive)]);
    let not_begun = || early(Outcome::NotBegun, 3);
    let aborted = || early(Outcome::Aborted, 5);
    let interrupted = || early(Outcome::Interrupted, 143);
    let error = || early(Outcome::Error, 70);
    assert_eq!(code(vec![]), 0);
    assert_eq!(code(vec![passed(), passed()]), 0);
    assert_eq!(code(vec![passed(), unsure()]), 4);
    assert_eq!(code(vec![not_begun(), unsure(), passed()]), 3);
    assert_eq!(code(vec![not_begun(), failed(), unsure()]), 1);
    assert_eq!(code(vec![aborted(), failed()]), 5);
    assert_eq!(code(vec![aborted(), interrupted()]), 143);
    assert_eq!(code(vec![error(), interrupted()]), 70);
}

#[test]
fn a_check_that_passes_and_fails_is_flaky_and_one_that_cannot_tell_is_not() {
    let repeated = |verdicts: &[CheckVerdict]| {
        let runs = verdicts.iter().map(|verdict| run(&[("x", *verdict)]));
        let series = series("a.toml", runs.collect());
        (series.conclusion().word(), series.exit_code())
    };
    assert_eq!(repeated(&[Pass, Pass]), ("passed", 0));
    assert_eq!(repeated(&[Pass, Fail]), ("flaky", 1));
    assert_eq!(repeated(&[Fail, Inconclusive, Pass]), ("flaky", 1));
    assert_eq!(repeated(&[Pass, Inconclusive, Pass]), ("inconclusive", 4));
    assert_eq!(repeated(&[Inconclusive, Fail]), ("failed", 1));
    assert_eq!(repeated(&[Fail, Fail]), ("failed", 1));
    assert_eq!(repeated(&[Pass, Aborted]), ("passed", 0));
}

#[test]
fn a_check_that_always_fails_is_graver_than_one_that_is_flaky() {
    let first = run(&[("x", Pass), ("y", Fail)]);
    let second = run(&[("x", Fail), ("y", Fail)]);
    let series = series("a.toml", vec![first, second]);
    assert_eq!(series.conclusion().word(), "failed");
    let flaky = series.flaky();
    assert_eq!(flaky.len(), 1);
    assert_eq!(
        (&*flaky[0].check, &*flaky[0].tally()),
        ("x", "1 pass, 1 fail")
    );
}

#[test]
fn of_several_tries_the_last_one_counts_and_all_are_told() {
    let mut repetition = Repetition::new(run(&[("x", Inconclusive)]));
    repetition.try_again(run(&[("x", Pass)]));
    let mut series = Series::new("a.toml".to_owned());
    series.repetitions.push(repetition);
    let suite = Suite {
        series: vec![series],
    };
    assert_eq!(suite.exit_code(), 0);
    let shown = anstream::adapter::strip_str(&text(&suite)).to_string();
    assert!(shown.contains("try 1  inconclusive  x"), "{shown}");
    assert!(shown.contains("try 2  passed"), "{shown}");
    assert!(shown.contains("files: 1 passed; runs: 2"), "{shown}");
    let xml = junit(&suite);
    assert_eq!(xml.matches("<testsuite ").count(), 2, "{xml}");
    assert!(xml.contains(r#"errors="0""#) && !xml.contains(r#"errors="1""#));
    assert_eq!(xml.matches("<skipped").count(), 1, "{xml}");
}

#[test]
fn a_file_that_was_not_run_and_one_that_broke_are_told() {
    let mut broken = Series::new("b.toml".to_owned());
    broken.error = Some("no disk".to_owned());
    let suite = Suite {
        series: vec![broken, Series::new("c.toml".to_owned())],
    };
    assert_eq!(suite.exit_code(), 70);
    let shown = anstream::adapter::strip_str(&text(&suite)).to_string();
    assert!(shown.contains("error: b.toml: no disk"), "{shown}");
    assert!(shown.contains("files: 1 error, 1 not run"), "{shown}");
    let xml = junit(&suite);
    assert!(
        xml.contains("no disk") && xml.contains("the suite ended before"),
        "{xml}"
    );
}

#[test]
fn annotations_point_at_the_demand_and_are_escaped() {
    let suite = Suite {
        series: vec![
            series(
                "dir/a,b.toml",
                vec![run(&[("x", Fail), ("y", Inconclusive)])],
            ),
            series("c.toml", vec![early(Outcome::Interrupted, 130)]),
        ],
    };
    let expected = "\
        ::error file=dir/a%2Cb.toml,line=1,col=3,title=check `x` failed::x: 50 %25 of it%0Amend it\n\
        ::warning file=dir/a%2Cb.toml,line=2,col=3,title=check `y` is inconclusive::y: 50 %25 of it\n\
        ::error file=c.toml,line=1,col=1,title=run interrupted::of something\n";
    assert_eq!(annotations(&suite), expected);
}

#[test]
fn the_same_failure_in_two_repetitions_is_annotated_once() {
    let failed = || run(&[("x", Fail)]);
    let suite = Suite {
        series: vec![series("a.toml", vec![failed(), failed()])],
    };
    assert_eq!(annotations(&suite).lines().count(), 1);
}

#[test]
fn the_step_summary_is_a_table_with_what_did_not_hold_below() {
    let suite = Suite {
        series: vec![series(
            "a.toml",
            vec![run(&[("x", Pass)]), run(&[("x", Fail)])],
        )],
    };
    let expected = "\
## chaosproxy: flaky

| file | run | verdict | checks | duration |
|---|---|---|---|---|
| a.toml | 1/2 | passed |  | 1.5 s |
| a.toml | 2/2 | failed | x | 1.5 s |

### a.toml

- **x** is flaky: 1 pass, 1 fail
- **x** fail: x: 50 % of it; mend it

";
    assert_eq!(markdown(&suite), expected);
}
