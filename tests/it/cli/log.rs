//! chaosproxy's own diagnostics.

use super::*;

const ARGS: [&str; 4] = ["run", "a.toml", "--report-dir", "out"];

/// One event of each part.
const EVENTS: [&str; 7] = [
    "INFO chaosproxy::lab::guard: guard started pid=",
    "INFO chaosproxy::lab::guard: guard cleared everything away",
    "DEBUG chaosproxy::engine: done action=\"inject trouble\" took=",
    "DEBUG chaosproxy::run::schedule: step fault=trouble turn=Inject late=",
    "DEBUG chaosproxy::run::schedule: step fault=trouble turn=Lift late=",
    "DEBUG chaosproxy::event::journal: journal opened path=out/journal.jsonl",
    "DEBUG chaosproxy::event::journal: journal closed path=out/journal.jsonl lines=",
];

fn desk(server: &Server) -> Desk {
    let desk = Desk::new();
    desk.write("a.toml", &scenario(server, SLOW));
    desk
}

#[test]
fn nothing_is_logged_unless_it_is_asked_for() {
    let server = well();
    let desk = desk(&server);
    let mut command = desk.command(&ARGS);
    command.env_remove("RUST_LOG");
    let run = Finished::new(command.output().unwrap()).exits_with(0);
    for output in [run.stdout, run.stderr] {
        assert!(!output.contains("chaosproxy::"), "{output}");
    }
}

#[test]
fn the_log_goes_to_standard_error_only() {
    let server = well();
    for (args, env) in [
        ([&ARGS[..], &["--log", "debug"]].concat(), vec![]),
        (ARGS.to_vec(), vec![("RUST_LOG", Path::new("debug"))]),
    ] {
        let run = desk(&server).run_with(&args, &env).exits_with(0);
        assert!(!run.stdout.contains("chaosproxy::"), "{}", run.stdout);
        for event in EVENTS {
            let logged = run.stderr.lines().filter(|line| line.contains(event));
            assert_eq!(logged.count(), 1, "{event}: {}", run.stderr);
        }
    }
}

#[test]
fn a_filter_selects_modules_and_a_bad_one_is_refused() {
    let server = well();
    let desk = desk(&server);
    let args = [&ARGS[..], &["--log", "chaosproxy::lab=info"]].concat();
    let run = desk.run(&args).exits_with(0);
    assert!(run.stderr.contains("INFO chaosproxy::lab::guard"));
    assert!(!run.stderr.contains("chaosproxy::engine"), "{}", run.stderr);
    let refused = desk
        .run(&["--log", "chaosproxy=loud", "faults"])
        .exits_with(2);
    assert!(
        refused.stderr.contains("--log <FILTER>"),
        "{}",
        refused.stderr
    );
}
