//! Files, folders and numbers that cannot be used: each command says what is wrong with which, and
//! what to do.

use std::fs::{self, File};

use super::{Desk, Finished, NOBODY};

/// A command line, its exit code, and what it says.
type Refused = (&'static [&'static str], i32, &'static [&'static str]);

const REFUSED: [Refused; 15] = [
    (
        &["run", "gone.toml"],
        2,
        &["cannot read gone.toml: No such file", "nothing was run"],
    ),
    (
        &["validate", "folder"],
        2,
        &["folder: it is a folder; name a file in it; not valid"],
    ),
    (
        &["plan", "binary"],
        2,
        &["cannot read binary: it is not a text in UTF-8; no plan"],
    ),
    (
        &["report", "gone"],
        2,
        &[
            "no run can be read at gone",
            "name the folder",
            "No such file",
        ],
    ),
    (
        &["report", "folder"],
        2,
        &["folder/journal.jsonl: No such file"],
    ),
    (
        &["replay", "binary"],
        2,
        &["binary: not a journal: it is not a text", "nothing was run"],
    ),
    (
        &["replay", "empty"],
        2,
        &["no run can be read at empty", "empty, not a journal"],
    ),
    (
        &["baseline", "save", "gone", "--to", "b"],
        2,
        &["no run can be read at gone"],
    ),
    (
        &["run", "a.toml", "--seed", "-5"],
        2,
        &["write a whole number from 0 to 18446744073709551615"],
    ),
    (
        &["run", "a.toml", "--repeat", "0"],
        2,
        &["'0'", "write a whole number from 1 to"],
    ),
    (
        &["run", "a.toml", "--retry-inconclusive", "-1"],
        2,
        &["write a whole number from 0 to"],
    ),
    (
        &["run", "a.toml", "--report-dir", "a.toml"],
        70,
        &["a.toml", "`--report-dir` names another"],
    ),
    (
        &["man", "--dir", "a.toml"],
        2,
        &["cannot make a.toml: File exists"],
    ),
    (&["faults", "latenci"], 2, &["did you mean `latency`?"]),
    (
        &[
            "init",
            "--health",
            "up",
            "--service",
            "a=http://127.0.0.1:1",
        ],
        2,
        &["begin it with `/`"],
    ),
];

#[test]
fn what_cannot_be_used_is_named_with_what_to_do() {
    let desk = Desk::new();
    desk.write("a.toml", NOBODY);
    desk.write("empty", "");
    fs::write(desk.path("binary"), [0xff, 0xfe, 0x00]).unwrap();
    fs::create_dir(desk.path("folder")).unwrap();
    for (args, code, texts) in REFUSED {
        let refused = desk.run(args).exits_with(code);
        for text in texts {
            assert!(
                refused.stderr.contains(text),
                "{args:?}: {}",
                refused.stderr
            );
        }
        assert_eq!(refused.stdout, "", "{args:?}");
    }
}

#[test]
fn what_a_run_cannot_use_is_named_with_what_to_do() {
    let desk = Desk::new();
    let service = |command: &str| {
        format!(
            "[scenario]\ntitle = \"t\"\nduration = \"1s\"\n[[service]]\nname = \"s\"\n\
             url = \"http://127.0.0.1:0\"\n{command}\n"
        )
    };
    desk.write(
        "place.toml",
        &service("command = [\"true\"]\nworking_directory = \"/gone\""),
    );
    desk.write("program.toml", &service("command = [\"/gone\"]"));
    for (file, text) in [
        (
            "place.toml",
            "start `true`: its working directory /gone is not there",
        ),
        ("program.toml", "cannot start `/gone`: No such file"),
    ] {
        let refused = desk.run(&["run", file]).exits_with(3);
        assert!(refused.stderr.contains(text), "{}", refused.stderr);
    }
    let folder = desk.path("gone");
    let run = ["run", "program.toml", "--report-dir", "out"];
    let refused = desk
        .run_with(&run, &[("TMPDIR", folder.as_path())])
        .exits_with(3);
    assert!(
        refused.stderr.contains("`TMPDIR` names another place"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_command_whose_data_nobody_got_does_not_end_well() {
    let desk = Desk::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let schema = desk.command(&["schema", "scenario"]).stdout(full).output();
    let schema = schema.unwrap();
    assert_eq!(schema.status.code(), Some(70));
    let said = String::from_utf8(schema.stderr).unwrap();
    let error = "error: cannot write to standard output: ";
    assert!(said.starts_with(error), "{said}");
}

#[test]
fn a_verdict_that_nobody_got_weighs_less_than_that() {
    let desk = Desk::new();
    desk.write("a.toml", NOBODY);
    let run = ["run", "a.toml", "--report-dir", "out"];
    desk.run(&run).exits_with(3);
    desk.run(&["report", "out"]).exits_with(3);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let report = desk.command(&["report", "out"]).stdout(full).output();
    Finished::new(report.unwrap()).exits_with(70);
}
