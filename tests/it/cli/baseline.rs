use std::thread::sleep;
use std::time::Duration;

use super::*;

/// How quickly `/work` is answered: at once in the first four runs, then most of a second
/// later.
#[expect(clippy::disallowed_methods, reason = "this server is slow")]
fn slower_after_four_runs() -> Server {
    Server::start(|run, path| {
        if path == "/work" {
            sleep(Duration::from_millis(if run > 4 { 800 } else { 20 }));
        }
        Answer {
            status: 200,
            then: Then::Close,
        }
    })
}

/// Generous, so that the machine of the test may be busy.
const NOT_SLOWER: &str = r#"
[[check]]
name         = "not-slower"
type         = "regression"
baseline     = "kept/work.json"
figures      = ["work.p50_s"]
threshold    = "100%"
floor        = "300ms"

[limits]
max_busy     = "100%"
max_lateness = "10s"
"#;

/// What `baseline compare` tells of a run, and with which exit code.
fn compare(desk: &Desk, run: &str, code: i32) -> String {
    let args = ["baseline", "compare", run, "--with", "kept/work.json"];
    let demand = "--figure work.p50_s --threshold 100% --floor 300ms";
    let args: Vec<&str> = args.into_iter().chain(demand.split(' ')).collect();
    desk.run(&args).exits_with(code).stdout
}

#[test]
fn a_run_is_compared_with_stored_ones_and_judged_the_same_ever_after() {
    let (desk, server) = (Desk::new(), slower_after_four_runs());
    // Only the one check decides, however busy the machine of the test is.
    let text = scenario(&server, SLOW)
        .replace(CHECK, NOT_SLOWER)
        .replace(r#"["health.ok_ratio == 100%"]"#, "[]");
    desk.write("a.toml", &text);
    // Nothing is stored yet: the check cannot tell, and says how to begin.
    let first = desk
        .run(&["run", "a.toml", "--repeat", "3", "--report-dir", "three"])
        .exits_with(4);
    assert!(
        first
            .stdout
            .contains("baseline save DIR --to kept/work.json"),
        "{}",
        first.stdout
    );
    assert!(compare(&desk, "three", 4).contains("baseline save"));

    let save = [
        "baseline",
        "save",
        "three",
        "--to",
        "kept/work.json",
        "--trend",
        "kept/trend.jsonl",
    ];
    let saved = desk.run(&save).exits_with(0).stdout;
    assert!(saved.contains("of 3 runs of a.toml"), "{saved}");
    desk.run(&save).exits_with(0);
    assert_eq!(
        desk.read("kept/trend.jsonl").lines().count(),
        3,
        "no run is appended twice"
    );

    desk.run(&["run", "a.toml", "--report-dir", "same"])
        .exits_with(0);
    assert!(compare(&desk, "same", 0).contains("pass: 1 of 1 figures"));
    let slower = desk
        .run(&["run", "a.toml", "--report-dir", "slower"])
        .exits_with(1);
    assert!(slower.stdout.contains("more than"), "{}", slower.stdout);
    assert!(compare(&desk, "slower", 1).contains("fail: 0 of 1 figures"));

    // What is in the journal decides, whatever becomes of the file.
    fs::remove_file(desk.path("kept/work.json")).unwrap();
    desk.run(&["report", "same"]).exits_with(0);
    desk.run(&["report", "slower"]).exits_with(1);
    desk.run(&["replay", "slower", "--report-dir", "again"])
        .exits_with(1);
    // Other checks compare with the file as it is now.
    desk.run(&["report", "slower", "--checks", "a.toml"])
        .exits_with(4);

    let alone = desk
        .run(&["baseline", "save", "same", "--to", "kept/work.json"])
        .exits_with(0);
    assert!(alone.stdout.contains("of 1 run of"), "{}", alone.stdout);
    assert!(
        alone.stderr.contains("from 1 of 3 runs"),
        "{}",
        alone.stderr
    );
    assert!(compare(&desk, "same", 4).contains("3 needed"));
}

#[test]
fn what_is_no_run_or_did_not_end_makes_no_baseline() {
    let desk = Desk::new();
    desk.write("a.toml", NOBODY);
    desk.run(&["run", "a.toml", "--report-dir", "out"])
        .exits_with(3);
    let refused = desk
        .run(&["baseline", "save", "out", "--to", "b.json"])
        .exits_with(2);
    assert!(
        refused.stderr.contains("did not go to its end (not begun)"),
        "{}",
        refused.stderr
    );
    fs::create_dir(desk.path("empty")).unwrap();
    let refused = desk
        .run(&["baseline", "save", "empty", "--to", "b.json"])
        .exits_with(2);
    assert!(
        refused.stderr.contains("there is no run in it"),
        "{}",
        refused.stderr
    );
    assert!(!desk.path("b.json").exists());
}

#[test]
fn a_name_that_nothing_knows_is_refused_with_those_that_are_known() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, SLOW));
    let run = ["run", "a.toml", "--record", "--report-dir", "same"];
    desk.run(&run).exits_with(0);
    let save = ["baseline", "save", "same", "--to", "kept/work.json"];
    desk.run(&save).exits_with(0);
    for (args, told) in [
        (
            "--figure work.p50",
            "unknown figure `work.p50`; did you mean `work.p50_s`? Known are work.error_rate, \
             work.p50_s, work.p95_s",
        ),
        (
            "--figure wrok.latency",
            "unknown figure `wrok.latency`; known are health.error_rate,",
        ),
        (
            "--figure work.p50_s@fault:nobody",
            "did you mean `work.p50_s@fault:trouble`? Known are work.p50_s@baseline, ",
        ),
        ("--relative-to work.p50", "unknown figure `work.p50`"),
        ("--threshold 10", "expected one of the units `%`"),
        ("--floor 10", "expected one of the units `ns`"),
    ] {
        let with = "baseline compare same --with kept/work.json";
        let args: Vec<_> = with.split(' ').chain(args.split(' ')).collect();
        let refused = desk.run(&args).exits_with(2);
        assert!(refused.stderr.contains(told), "{}", refused.stderr);
    }
    let args = ["baseline", "compare", "same", "--with", "a.toml"];
    let refused = desk.run(&args).exits_with(2).stderr;
    assert_eq!(refused.matches("expected value").count(), 1, "{refused}");
}
