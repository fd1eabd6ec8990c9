//! Reports from a hand-made journal: every form says the same, and the journal alone suffices.

mod html;

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use chaosproxy::check::{
    CheckSpec, Experiment, FaultBrief, Limits, Purpose, Severity, SourceBrief, SourceMap, Verdict,
};
use chaosproxy::event::{
    AskedBy, Carried, ClosedBy, Condition, Edge, Event, Fact, Gate, Header, Impact, JOURNAL_FORMAT,
    JournalWriter, Name, Outcome, Phase, Reason, Sample, Spread, Startup, Totals, Volume,
};
use chaosproxy::report::{
    self, CheckRecord, CheckVerdict, EvidenceRecord, LengthRecord, Place, Report,
};
use chaosproxy::units::Moment;

use crate::support::{chaosproxy, junit};

const SCENARIO: &str = "[steady_state]\nrequire = [\"reads.error_rate == 0%\"]\n";

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn header() -> Header {
    let experiment = Experiment {
        title: "reads survive <a> loss".into(),
        hypothesis: "they do".into(),
        faults: vec![FaultBrief {
            name: "loss".into(),
            kind: "partition".into(),
            params: serde_json::json!({ "mode": "stall" }),
            ramp: [].into(),
            sweep: Vec::new(),
            proxy: "db".into(),
            min_hits: 1,
        }],
        sources: [(
            "reads".into(),
            SourceBrief {
                service: "server".into(),
                timeout: std::time::Duration::from_secs(1),
                interval: Some(std::time::Duration::from_millis(100)),
            },
        )]
        .into(),
        checks: Vec::new(),
        opaque: [].into(),
        limits: Limits::default(),
        purpose: Purpose::Judge,
    };
    Header {
        journal_format: JOURNAL_FORMAT,
        chaosproxy: "0.1.0".into(),
        run: "6f1c7e3e-2b52-4b05-9d43-0a4b3c6f2f11".parse().unwrap(),
        started_at: "2025-10-13T08:00:00Z".parse().unwrap(),
        scenario_path: "loss.toml".into(),
        scenario_text: SCENARIO.into(),
        scenario_sha256: "00".into(),
        seed: 20_251_013,
        plan: serde_json::to_value(experiment).unwrap(),
        environment: [("cores".to_owned(), "2".to_owned())].into(),
    }
}

fn totals() -> Fact {
    let volume = |bytes, chunks| Volume { bytes, chunks };
    Fact::ProxyTotals(Box::new(Totals {
        proxy: "db".into(),
        upstream: volume(1_234_567, 100),
        downstream: volume(7_654_321, 200),
        own: Some(Spread {
            samples: 19,
            p50: Duration::from_nanos(10_240),
            p99: Duration::from_nanos(57_344),
            max: Duration::from_nanos(57_344),
        }),
        injected: Some(Spread {
            samples: 50,
            p50: Duration::from_millis(112),
            p99: Duration::from_millis(1_792),
            max: Duration::from_millis(2_048),
        }),
        late: Some(Spread {
            samples: 50,
            p50: Duration::from_nanos(62_500),
            p99: Duration::from_nanos(125_000),
            max: Duration::from_nanos(312_500),
        }),
        connections: Vec::new(),
    }))
}

/// The connection that the fault hit, from its beginning to its end.
fn connection() -> [(u64, Fact); 3] {
    let proxy: Name = "db".into();
    let opened = Fact::ConnectionOpened {
        proxy: proxy.clone(),
        conn: 0,
        peer: ([127, 0, 0, 1], 40_000).into(),
    };
    let asked = Fact::StartupPacket {
        proxy: proxy.clone(),
        conn: 0,
        packet: Startup::Tls,
    };
    let closed = Fact::ConnectionClosed {
        proxy,
        conn: 0,
        cause: ClosedBy::Client,
        carried: Box::new(Carried {
            bytes_upstream: 1_234_567,
            bytes_downstream: 7_654_321,
            held: Duration::from_millis(2_048),
            faults: vec!["loss".into()],
            ..Carried::default()
        }),
    };
    [(2_100, opened), (2_100, asked), (10_210, closed)]
}

/// Ten reads a second for ten seconds; those of the fault, from 4 s to 6 s after the start, time
/// out. The steady state is found again if `recovers`.
fn events(recovers: bool) -> Vec<Event> {
    let phase = |ms, phase| (ms, Fact::Phase { phase });
    let edge = |ms, edge| {
        let (fault, planned) = ("loss".into(), at(ms));
        let occurrence = 0;
        (
            ms + 1,
            Fact::FaultEdge {
                fault,
                edge,
                occurrence,
                planned: Some(planned),
                decided: planned,
                by: AskedBy::Schedule,
            },
        )
    };
    let steady = |ms, gate, met| {
        let conditions = vec![Condition {
            condition: "reads.error_rate == 0%".into(),
            met,
            measured: if met { "0%" } else { "25%" }.into(),
            reasons: Vec::new(),
        }];
        (
            ms,
            Fact::SteadyState {
                gate,
                from: at(ms - 100),
                met,
                conditions,
            },
        )
    };
    let mut facts = vec![
        phase(0, Phase::SteadyState),
        steady(2000, Gate::Before, true),
        phase(2000, Phase::Experiment),
        edge(4000, Edge::Inject),
        edge(6000, Edge::Lift),
        phase(10_000, Phase::Settle),
        steady(10_100, Gate::After, recovers),
        phase(10_200, Phase::TearDown),
    ];
    let (fault, proxy, impact) = ("loss".into(), "db".into(), Impact::Withheld);
    let conn = Some(0);
    facts.push((
        4100,
        Fact::FaultHit {
            fault,
            proxy,
            conn,
            impact,
        },
    ));
    facts.extend(connection());
    facts.push((10_220, totals()));
    facts.extend(samples());
    facts.sort_by_key(|(ms, _)| *ms);
    let event = |(ms, fact)| Event { at: at(ms), fact };
    facts.into_iter().map(event).collect()
}

/// The reads of [`events`].
fn samples() -> Vec<(u64, Fact)> {
    let mut facts = Vec::new();
    for ms in (0..10_000).step_by(100) {
        // The first of them is under way when the fault begins, a millisecond later than planned.
        let lost = (4000..6001).contains(&ms);
        let (outcome, latency) = if lost {
            (Outcome::Timeout, 1000)
        } else {
            (Outcome::Ok { status: Some(200) }, 2)
        };
        let source = "reads".into();
        let (intended, done) = (at(ms), at(ms + latency));
        let sent = intended;
        let sample = Sample {
            source,
            intended,
            sent,
            done,
            outcome,
            digest: None,
        };
        facts.push((ms + latency, Fact::Sample(sample)));
    }
    facts
}

fn check(name: &str, verdict: CheckVerdict, severity: Severity) -> CheckRecord {
    CheckRecord {
        name: name.into(),
        kind: "detection".into(),
        severity,
        verdict,
        place: None,
        summary: format!("{name} & its figure"),
        evidence: Vec::new(),
        figures: [("detection_s".to_owned(), 1.42)].into(),
        notes: Vec::new(),
        help: None,
        lengths: Vec::new(),
    }
}

/// A report with a check of every verdict, and the recheck that passed. The first failure points
/// into the scenario.
fn mixed() -> Report {
    let mut report = report::build(&header(), &events(true)).unwrap();
    (report.outcome, report.exit_code) = (report::Outcome::Failed, 1);
    let start = SCENARIO.find("\"reads").unwrap();
    let place = Place {
        line: 2,
        column: 12,
        start,
        end: SCENARIO.len() - 2,
    };
    let bad = CheckRecord {
        evidence: vec![EvidenceRecord {
            verdict: Verdict::Fail,
            expected: "within 2 s".into(),
            measured: "after 3.7 s <b>".into(),
            place: Some(place),
            window_s: Some((2.0, 4.0)),
            samples: 20,
            reasons: vec![Reason {
                text: "status 503".into(),
                count: 17,
            }],
        }],
        help: Some("let the pool reconnect".into()),
        ..check("bad", CheckVerdict::Fail, Severity::Error)
    };
    report.checks.extend([
        check("good", CheckVerdict::Pass, Severity::Error),
        bad,
        check("tolerated", CheckVerdict::Fail, Severity::Warning),
        check("unsure", CheckVerdict::Inconclusive, Severity::Error),
        check("cut", CheckVerdict::Aborted, Severity::Error),
    ]);
    report
}

#[test]
fn the_figures_of_each_window_are_those_of_its_observations() {
    let report = report::build(&header(), &events(true)).unwrap();
    let windows: Vec<_> = report.sources[0]
        .windows
        .iter()
        .map(|window| (window.window.as_str(), window.requests, window.errors))
        .collect();
    let expected = [
        ("baseline", 40, 0),
        ("fault:loss", 21, 21),
        ("recovery:loss", 39, 0),
        ("all", 80, 21),
    ];
    assert_eq!(windows, expected);
    for window in &report.sources[0].windows {
        assert!(window.latency_p50_ms <= window.latency_p95_ms);
        assert!(window.latency_p95_ms <= window.latency_p99_ms);
        assert!(window.latency_p99_ms <= window.latency_max_ms);
    }
    let occurrence = &report.faults[0].occurrences[0];
    assert!((occurrence.injected.actual_s - 2.001).abs() < 1e-9);
    assert!((occurrence.injected.late_ms - 1.0).abs() < 1e-9);
    assert_eq!(occurrence.victims[&Impact::Withheld], 1);
}

#[test]
fn a_steady_state_that_is_not_found_again_fails_the_run_and_points_into_the_scenario() {
    let report = report::build(&header(), &events(false)).unwrap();
    assert_eq!((report.exit_code, report.checks.len()), (1, 1));
    assert_eq!(report.checks[0].verdict, CheckVerdict::Fail);
    let diagnostics = report::diagnostics(&report);
    assert_eq!(diagnostics.len(), 1);
    let span = diagnostics[0].primary.as_ref().unwrap().span;
    assert_eq!(&SCENARIO[span.start..span.end], "reads.error_rate == 0%");
}

#[test]
fn on_a_starved_machine_a_steady_state_that_is_not_found_again_decides_nothing() {
    let judged = |recovers, busy| {
        let mut events = events(recovers);
        let fact = Fact::Machine { busy };
        events.push(Event {
            at: at(10_050),
            fact,
        });
        let report = report::build(&header(), &events).unwrap();
        (report.checks[0].verdict, report.exit_code)
    };
    assert_eq!(judged(false, 0.9), (CheckVerdict::Fail, 1));
    assert_eq!(judged(false, 0.99), (CheckVerdict::Inconclusive, 4));
    assert_eq!(judged(true, 0.99), (CheckVerdict::Pass, 0));
}

#[test]
fn what_could_not_be_decided_is_aborted_in_a_run_that_was_interrupted() {
    let mut header = header();
    let check = CheckSpec {
        name: "later".into(),
        kind: "of another version".into(),
        severity: Severity::Error,
        params: serde_json::json!({}),
        source: SourceMap::default(),
    };
    header.plan["checks"] = serde_json::to_value([check]).unwrap();
    let mut events = events(true);
    let judged = |events: &[Event]| {
        let report = report::build(&header, events).unwrap();
        (report.checks[0].verdict, report.exit_code)
    };
    assert_eq!(judged(&events), (CheckVerdict::Inconclusive, 4));
    let signal = "SIGTERM".to_owned();
    let fact = Fact::Interrupted { signal };
    events.push(Event { at: at(9000), fact });
    assert_eq!(judged(&events), (CheckVerdict::Aborted, 143));
}

/// What a test tool reads: each case with `failure`, `error` or nothing below it, and the counts.
fn junit_cases(xml: &str) -> (Vec<(String, String)>, [u64; 3]) {
    let [suite] = junit::suites(xml).try_into().unwrap();
    let cases = suite.cases.into_iter();
    let cases = cases.map(|case| (case.name, case.kind));
    (cases.collect(), suite.counts)
}

#[test]
fn junit_says_what_the_report_says() {
    let (cases, counts) = junit_cases(&report::junit(&mixed(), SCENARIO));
    let expected = [
        ("steady-state-after", ""),
        ("good", ""),
        ("bad", "failure"),
        ("tolerated", ""),
        ("unsure", "error"),
        ("cut", "error"),
    ]
    .map(|(name, kind)| (name.to_owned(), kind.to_owned()));
    assert_eq!(cases, expected);
    assert_eq!(counts, [6, 1, 2]);
}

#[test]
fn characters_that_a_format_does_not_have_do_not_stand_in_it() {
    let mut report = mixed();
    report.scenario.title = "a\u{fffe}b\0c\u{1b}[0md\u{8}e\u{ffff}\u{7f}".into();
    report.checks[0].summary = "f\0\u{fffe}g".into();
    let xml = report::junit(&report, SCENARIO);
    assert!(xml.contains("name=\"abcde\u{7f}\""), "{xml}");
    let page = report::html(&report, SCENARIO);
    assert_eq!(page.matches("a\u{fffd}b␀c␛[0md␈e\u{fffd}␡").count(), 2);
    for text in [xml, page] {
        let foreign = |c: &char| (*c < ' ' && *c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
        assert_eq!(text.chars().find(foreign), None);
    }
}

#[test]
fn what_no_length_of_a_sweep_tells_of_is_a_case_beside_them_for_test_tools() {
    let cases = |whole: CheckVerdict| {
        let lengths = ["4s", "8s"].map(|length| LengthRecord {
            fault: "cut".into(),
            length: length.parse().unwrap(),
            verdict: CheckVerdict::Pass,
            summary: "back to normal".into(),
            figures: [].into(),
        });
        let mut report = mixed();
        report.checks = vec![CheckRecord {
            lengths: lengths.into(),
            ..check("recovers", whole, Severity::Error)
        }];
        junit_cases(&report::junit(&report, SCENARIO)).0
    };
    let case = |name: &str, kind: &str| (name.to_owned(), kind.to_owned());
    let lengths = || [case("recovers[cut 4s]", ""), case("recovers[cut 8s]", "")];
    assert_eq!(cases(CheckVerdict::Pass), lengths());
    let [short, long] = lengths();
    let all = [case("recovers", "failure"), short, long];
    assert_eq!(cases(CheckVerdict::Fail), all);
}

#[test]
fn one_observation_is_singular_and_zero_has_no_sign() {
    let mut report = mixed();
    let mut checks = report.checks.iter_mut();
    let bad = checks.find(|check| &*check.name == "bad").unwrap();
    let bad = &mut bad.evidence[0];
    (bad.samples, bad.window_s) = (1, Some((-0.000_4, 4.0)));
    let shown = report::text(&report, SCENARIO, Path::new("runs/1"));
    assert!(
        shown.contains("looked at 1 observation from 0.0 s to 4.0 s"),
        "{shown}"
    );
    let page = report::html(&report, SCENARIO);
    assert!(page.contains("<span>1 observation</span>"));
    assert!(page.contains("<span>from 0.0 s to 4.0 s</span>"));
}

#[test]
fn a_failure_underlines_the_demand_for_test_tools_too() {
    let xml = report::junit(&mixed(), SCENARIO);
    let text = quick_xml::escape::unescape(&xml).unwrap();
    for line in [
        "--> loss.toml:2:12",
        "2 | require = [\"reads.error_rate == 0%\"]",
        "  |            ^^^^^^^^^^^^^^^^^^^^^^^^ after 3.7 s <b>",
        "  = note: looked at 20 observations from 2.0 s to 4.0 s",
        "  = help: let the pool reconnect",
    ] {
        assert!(text.contains(line), "{line} is missing in {text}");
    }
    assert!(!xml.contains('\x1b'), "colours went into a file");
}

#[test]
fn a_run_that_was_cut_short_is_an_error_for_test_tools_too() {
    let mut events = events(true);
    events.truncate(50);
    let report = report::build(&header(), &events).unwrap();
    assert_eq!(report.exit_code, 70);
    let (cases, counts) = junit_cases(&report::junit(&report, SCENARIO));
    assert_eq!(cases, [("run".to_owned(), "error".to_owned())]);
    assert_eq!(counts, [1, 0, 1]);
}

#[test]
fn json_reads_back_and_has_what_its_schema_demands() {
    let report = mixed();
    let mut read: Report = serde_json::from_str(&report::json(&report)).unwrap();
    assert_eq!(read.course, report::Course::default());
    read.course = report.course.clone();
    assert_eq!(read, report);
    let schema = report::schema().to_value();
    let value = serde_json::to_value(&report).unwrap();
    let described: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let present: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(present.len(), 19);
    assert!(
        present.iter().all(|key| described.contains(key)),
        "{described:?}"
    );
    let required = schema["required"].as_array().unwrap();
    assert!(
        required
            .iter()
            .all(|key| value.get(key.as_str().unwrap()).is_some())
    );
}

#[test]
fn the_published_schema_is_the_one_of_this_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema/report.schema.json");
    let mut schema = serde_json::to_string_pretty(&report::schema()).unwrap();
    schema.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &schema).unwrap();
    }
    assert!(
        std::fs::read_to_string(&path).unwrap() == schema,
        "{} is not current; run the tests with UPDATE=1 and look at the difference",
        path.display()
    );
}

#[test]
fn the_text_for_people_reads_well() {
    let shown = report::text(&mixed(), SCENARIO, Path::new("runs/1"));
    let plain = anstream::adapter::strip_str(&shown).to_string();
    insta::assert_snapshot!(plain);
}

fn write_journal(dir: &Path) {
    let path = dir.join(report::JOURNAL_FILE);
    let mut journal = JournalWriter::create(&path, &header()).unwrap();
    for event in events(true) {
        journal.append(&event).unwrap();
    }
    journal.close().unwrap();
}

fn chaosproxy_report(dir: &Path, more: &[&str]) -> Output {
    chaosproxy()
        .arg("report")
        .arg(dir)
        .args(more)
        .output()
        .unwrap()
}

#[test]
fn the_command_judges_again_from_the_journal_alone_and_writes_the_files() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path());
    let output = chaosproxy_report(dir.path(), &["--format", "json", "--write"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty());
    let expected = report::json(&report::build(&header(), &events(true)).unwrap());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    let mut names: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected_names = ["journal.jsonl", "junit.xml", "report.html", "report.json"];
    assert_eq!(names, expected_names);
    let written = std::fs::read_to_string(dir.path().join(report::JSON_FILE)).unwrap();
    assert_eq!(written, expected);
}

#[test]
fn a_journal_that_was_cut_off_is_said_aloud_and_no_journal_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = chaosproxy_report(dir.path(), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());

    write_journal(dir.path());
    let path = dir.path().join(report::JOURNAL_FILE);
    let text = std::fs::read_to_string(&path).unwrap();
    let without_its_last_line = text.trim_end().rsplit_once('\n').unwrap().0;
    std::fs::write(&path, without_its_last_line).unwrap();
    let output = chaosproxy_report(&path, &[]);
    assert_eq!(output.status.code(), Some(70));
    let talk = String::from_utf8(output.stderr).unwrap();
    assert!(talk.contains("its end is cut off"), "{talk}");
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("the journal was cut off"), "{told}");
    assert!(!told.contains('\x1b'), "colours went into a pipe");
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_leaves_nothing_half() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(report::JSON_FILE)).unwrap();
    let error = report::write(&mixed(), SCENARIO, dir.path()).unwrap_err();
    assert!(error.to_string().contains("report.json: "), "{error}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}
