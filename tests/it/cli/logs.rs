use std::os::unix::fs::PermissionsExt;

use super::*;

/// A stand-in for systemd's program: says what it was asked, then logs an entry with much besides
/// its line each tenth of a second.
const JOURNALCTL: &str = r#"#!/bin/sh
echo "$@" > asked
echo "Hint: you are not seeing everything" >&2
much=$(printf '%08000d' 0)
while :; do
    printf '{"_PID":"7","EXTRA":"%s","MESSAGE":"database connection lost","CODE":"a\\nb"}\n' "$much"
    sleep 0.1
done
"#;

fn from_journal(server: &Server, journal: &str) -> String {
    let source = format!("ready = \"/ready\"\nlog   = {{ journald = {journal} }}");
    let check = r#"
[[check]]
name     = "says-so"
type     = "log"
service  = "web"
contains = ['^database connection lost$']
absent   = ['Hint', '_PID']
"#;
    scenario(server, SLOW)
        .replace("ready = \"/ready\"", &source)
        .replace(CHECK, check)
}

#[test]
fn the_journal_of_systemd_is_a_log() {
    let (desk, server) = (Desk::new(), well());
    desk.write("journalctl", JOURNALCTL);
    let script = desk.path("journalctl");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", desk.dir.path().display());
    let env = [("PATH", Path::new(&path))];
    let text = from_journal(&server, "{ unit = \"web.service\" }");
    desk.write("a.toml", &text);
    let args = ["run", "a.toml", "--report-dir", "out"];
    desk.run_with(&args, &env).exits_with(0);
    assert_eq!(
        desk.read("asked").trim(),
        "--follow --lines=0 --output=json --unit=web.service"
    );
    assert!(desk.read("out/logs/web.log").contains("Hint: you are not"));

    // Another field can be the line.
    let other = from_journal(&server, "{ unit = \"web.service\", field = \"CODE\" }");
    desk.write("b.toml", &other);
    let args = ["run", "b.toml", "--report-dir", "other"];
    desk.run_with(&args, &env).exits_with(1);
    let lines = desk.read("other/logs/web.log");
    assert!(lines.contains("\na\nb\n"), "{lines}");
}

#[test]
fn without_the_program_that_reads_a_log_nothing_is_injected_and_the_remedy_is_named() {
    let (desk, server) = (Desk::new(), well());
    let text = from_journal(&server, "{ unit = \"web.service\" }");
    desk.write("a.toml", &text);
    let env = [("PATH", desk.dir.path())];
    let finished = desk
        .run_with(&["run", "a.toml", "--report-dir", "out"], &env)
        .exits_with(3);
    for part in [
        "`web`: there is no program `journalctl`",
        "`{ file = \"PATH\" }`",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part}: {}",
            finished.stdout
        );
    }
}

#[test]
fn a_log_that_nobody_brings_any_more_lets_nothing_pass_that_was_not_seen() {
    let (desk, server) = (Desk::new(), well());
    let follow = "echo 'panic: no such container' >&2; echo up; exit 1";
    let source =
        format!("ready = \"/ready\"\nlog   = {{ command = [\"sh\", \"-c\", \"{follow}\"] }}");
    let checks = r#"
[[check]]
name    = "no-panic"
type    = "log"
service = "web"
absent  = ["panic"]
"#;
    let text = scenario(&server, SLOW)
        .replace("ready = \"/ready\"", &source)
        .replace(CHECK, checks);
    desk.write("a.toml", &text);
    let finished = desk
        .run(&["run", "a.toml", "--report-dir", "out"])
        .exits_with(4);
    for part in [
        "no line says `panic`, but the log was not seen from",
        "ended with exit code 1",
        "see that the whole log is read",
    ] {
        assert!(
            finished.stdout.contains(part),
            "{part}: {}",
            finished.stdout
        );
    }
    assert!(desk.read("out/logs/web.log").contains("panic: no such"));
    desk.run(&["report", "out"]).exits_with(4);
}
