use std::io::{BufRead, BufReader, Read};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::*;
use crate::support::junit;

#[test]
fn the_first_file_that_is_not_green_ends_a_fail_fast_suite_and_ci_is_told() {
    let (desk, server) = (Desk::new(), well());
    desk.write("well.toml", &scenario(&server, SLOW));
    desk.write("ill.toml", &scenario(&server, REJECTED));
    let summary = desk.path("summary.md");
    let env = [
        ("GITHUB_ACTIONS", Path::new("true")),
        ("GITHUB_STEP_SUMMARY", summary.as_path()),
    ];
    let args = [
        "run",
        "well.toml",
        "ill.toml",
        "well.toml",
        "--fail-fast",
        "--report-dir",
        "out",
    ];
    let finished = desk.run_with(&args, &env).exits_with(1);

    let last = finished.stdout.lines().rev();
    let last: Vec<_> = last.filter(|line| !line.starts_with("::")).collect();
    assert!(
        last[0].starts_with("failed: files: 1 passed, 1 failed, 1 not run; runs: 2,"),
        "{last:?}"
    );
    for folder in ["out/well", "out/ill"] {
        assert!(
            desk.read(&format!("{folder}/report.json"))
                .contains("outcome")
        );
    }
    assert!(!desk.path("out/well-2").exists());

    let line = desk
        .read("ill.toml")
        .lines()
        .position(|line| line.starts_with("that"));
    let expected = format!(
        "::error file=ill.toml,line={},col=11,title=check `answers` failed::",
        line.unwrap() + 1
    );
    assert!(finished.stdout.contains(&expected), "{}", finished.stdout);
    let summary = fs::read_to_string(summary).unwrap();
    assert!(summary.starts_with("## chaosproxy: failed\n"), "{summary}");
    assert!(
        summary.contains("\n| well.toml |  | not run |"),
        "{summary}"
    );

    let junit = desk.read("out/junit.xml");
    assert_eq!(junit.matches("<testsuite ").count(), 3, "{junit}");
    assert_eq!(junit.matches("<failure").count(), 1, "{junit}");
}

#[test]
fn an_interrupt_ends_the_whole_suite() {
    let (desk, server) = (Desk::new(), well());
    for file in ["one.toml", "two.toml"] {
        desk.write(file, &scenario(&server, SLOW));
    }
    let args = ["run", "one.toml", "two.toml", "--report-dir", "out"];
    let mut command = desk.command(&args);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut talk = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("trouble") {
        line.clear();
        assert!(
            talk.read_line(&mut line).unwrap() > 0,
            "the schedule never began"
        );
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    talk.read_to_string(&mut line).unwrap();
    let steps = ["SIGTERM: healing", "healed; settling", "tearing down"];
    let places = steps.map(|step| line.find(step));
    assert!(places[0].is_some() && places.is_sorted(), "{line}");
    let finished = Finished::new(child.wait_with_output().unwrap()).exits_with(143);
    let told = "interrupted: files: 1 interrupted, 1 not run; runs: 1,";
    assert!(finished.stdout.contains(told), "{}", finished.stdout);
    assert!(desk.read("out/one/junit.xml").contains("SIGTERM"));
    assert!(!desk.path("out/two").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_found_before_anything_is_run() {
    let (desk, server) = (Desk::new(), well());
    desk.write("well.toml", &scenario(&server, SLOW));
    let finished = desk
        .run(&["run", "well.toml", "missing.toml"])
        .exits_with(2);
    assert!(
        finished.stderr.contains("missing.toml"),
        "{}",
        finished.stderr
    );
    assert!(!desk.path("chaosproxy-runs").exists());
}

#[test]
fn files_called_like_a_report_have_folders_beside_it() {
    let (desk, server) = (Desk::new(), well());
    desk.write("junit.xml.toml", &scenario(&server, SLOW));
    desk.write("gone.toml", NOBODY);
    desk.run(&["run", "--report-dir", "out", "junit.xml.toml", "gone.toml"])
        .exits_with(3);
    assert_eq!(junit::suites(&desk.read("out/junit.xml")).len(), 2);
    assert!(desk.path("out/junit.xml-2/junit.xml").is_file());
}

#[test]
fn a_file_that_cannot_be_used_is_annotated_at_its_mistakes() {
    let desk = Desk::new();
    desk.write("bad.toml", "[scenario]\ntitle = \"t\"\nduration = 5\n");
    for command in ["validate", "run"] {
        let actions = [("GITHUB_ACTIONS", Path::new("true"))];
        let refused = desk.run_with(&[command, "bad.toml"], &actions);
        let told = "::error file=bad.toml,line=3,col=12::`duration` has the wrong type: ";
        assert!(refused.stdout.starts_with(told), "{}", refused.stdout);
        let quiet = desk.run(&[command, "bad.toml"]).exits_with(2);
        assert_eq!(quiet.stdout, "");
    }
}

#[test]
fn a_suite_in_which_one_never_began_is_not_green() {
    let (desk, server) = (Desk::new(), well());
    desk.write("gone.toml", NOBODY);
    desk.write("well.toml", &scenario(&server, SLOW));
    let finished = desk.run(&["run", "gone.toml", "well.toml"]).exits_with(3);
    assert!(
        finished.stdout.contains("files: 1 not begun, 1 passed"),
        "{}",
        finished.stdout
    );
}

#[test]
fn a_check_that_differs_between_repetitions_is_flaky() {
    let server = Server::start(|run, path| Answer {
        status: if path == "/work" && run > 1 { 500 } else { 200 },
        then: Then::Close,
    });
    let desk = Desk::new();
    desk.write("a.toml", &scenario(&server, SLOW));
    let args = ["run", "a.toml", "--repeat", "2", "--report-dir", "out"];
    let finished = desk.run(&args).exits_with(1);
    assert!(
        finished
            .stdout
            .contains("flaky: check `answers` of a.toml: 1 pass, 1 fail"),
        "{}",
        finished.stdout
    );
    assert!(finished.stdout.contains("\nflaky: files: 1 flaky; runs: 2"));
    for folder in ["out/repeat-1", "out/repeat-2"] {
        assert!(desk.read(&format!("{folder}/journal.jsonl")).len() > 1000);
    }
    assert!(
        desk.read("out/junit.xml")
            .contains("name=\"flaky\" value=\"answers\"")
    );
}

#[test]
fn an_inconclusive_run_is_tried_again_and_both_tries_are_kept() {
    // A few lasting connections are too few victims; one for each of 80 requests is enough.
    let server = Server::start(|run, path| Answer {
        status: 200,
        then: if run == 1 && path != "/ready" {
            Then::Keep
        } else {
            Then::Close
        },
    });
    let desk = Desk::new();
    desk.write(
        "a.toml",
        &scenario(&server, &format!("{SLOW}\nmin_hits = 60")),
    );
    let args = [
        "run",
        "a.toml",
        "--retry-inconclusive",
        "2",
        "--report-dir",
        "out",
    ];
    let finished = desk.run(&args).exits_with(0);
    assert!(
        finished.stdout.contains("try 1  inconclusive  answers"),
        "{}",
        finished.stdout
    );
    assert!(
        finished.stdout.contains("try 2  passed"),
        "{}",
        finished.stdout
    );
    assert!(
        desk.read("out/try-1/report.json")
            .contains("\"exit_code\": 4")
    );
    assert!(
        desk.read("out/try-2/report.json")
            .contains("\"exit_code\": 0")
    );
    assert!(!desk.path("out/try-3").exists());
}

#[test]
fn quiet_says_nothing_but_what_is_asked_for() {
    let (desk, server) = (Desk::new(), well());
    desk.write("a.toml", &scenario(&server, SLOW));
    let finished = desk.run(&["run", "a.toml", "--quiet"]).exits_with(0);
    assert_eq!(finished.stderr, "");
    assert!(
        finished.stdout.contains("passed: checks: 2 pass"),
        "{}",
        finished.stdout
    );
    assert!(!finished.stdout.contains('\u{1b}'));
}

#[test]
fn a_report_that_cannot_be_written_does_not_swallow_the_verdict() {
    let (desk, server) = (Desk::new(), well());
    desk.write("well.toml", &scenario(&server, SLOW));
    fs::create_dir_all(desk.path("out/junit.xml")).unwrap();
    let args = ["run", "well.toml", "--report-dir", "out"];
    let finished = desk.run(&args).exits_with(70);
    let told = &finished.stdout;
    assert!(told.contains("passed: checks: 2 pass"), "{told}");
    let error = "error: the report could not be written: out/junit.xml: ";
    assert!(finished.stderr.contains(error), "{}", finished.stderr);
}
