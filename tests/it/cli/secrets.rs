//! Passwords and tokens stand in nothing that a run writes or prints.

use std::fs;

use super::Desk;

const SCENARIO: &str = r#"
[scenario]
title    = "a service that logs its token"
duration = "1s"
[steady_state]
window = "100ms"
[[service]]
name    = "s"
url     = "http://127.0.0.1:0"
command = ["sh", "-c", "echo \"connect postgres://u:$API_TOKEN@h and $PLAIN\" >&2; exit 3"]
env     = { API_TOKEN = "${API_TOKEN}", PLAIN = "postgres://u:hunter2@h/x" }
ready   = "/"
expect  = "exit"
[[check]]
name    = "c"
type    = "exit"
service = "s"
code    = 3
within  = "1s"
"#;

#[test]
fn no_secret_stands_in_what_a_run_leaves() {
    let desk = Desk::new();
    desk.write("a.toml", SCENARIO);
    let mut command = desk.command(&["run", "a.toml", "--report-dir", "out"]);
    let finished = command.env("API_TOKEN", "hunter1").output().unwrap();
    let mut all = vec![finished.stdout, finished.stderr];
    let files = fs::read_dir(desk.path("out")).unwrap();
    let files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    all.extend(files.iter().filter_map(|path| fs::read(path).ok()));
    let all: Vec<_> = all
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes))
        .collect();
    for text in &all {
        assert!(!text.contains("hunter"), "{text}");
    }
    let journal = desk.read("out/journal.jsonl");
    assert!(
        journal.contains("connect postgres://u:*******@h"),
        "{journal}"
    );
    assert!(files.len() >= 4, "{files:?}");
}
