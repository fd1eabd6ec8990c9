//! Report folders: what an earlier run left is never replaced, nor mixed with another.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// Every journal below a folder, with what it holds.
fn journals(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(journals(&path));
        } else if path.ends_with("journal.jsonl") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found.sort();
    found
}

#[test]
fn a_folder_that_holds_a_run_is_refused_before_anything_is_started() {
    let desk = Desk::new();
    desk.write("gone.toml", NOBODY);
    desk.write("other.toml", NOBODY);
    let asking = format!("{NOBODY}\n[report]\ndir = \"runs\"\n");
    desk.write("asking.toml", &asking);
    let first = ["run", "gone.toml", "--repeat", "3", "--report-dir", "runs"];
    desk.run(&first).exits_with(3);
    let before = journals(&desk.path("runs"));
    assert_eq!(before.len(), 3);
    for folder in ["runs", "runs/repeat-1"] {
        let mode = fs::metadata(desk.path(folder))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700, "journals and logs may tell secrets");
    }
    for args in [
        &["run", "gone.toml", "--repeat", "2", "--report-dir", "runs"][..],
        &["run", "gone.toml", "--report-dir", "runs"],
        &["run", "gone.toml", "other.toml", "--report-dir", "runs"],
        &["run", "asking.toml"],
        &["replay", "runs/repeat-1", "--report-dir", "runs"],
        &["replay", "runs/repeat-1", "--report-dir", "runs/repeat-2"],
    ] {
        let refused = desk.run(args).exits_with(2);
        let (told, folder) = (&refused.stderr, args.last().unwrap());
        assert!(told.contains("holds a run already"), "{args:?}: {told}");
        assert!(told.contains("`--report-dir` names another"), "{told}");
        assert!(told.ends_with("nothing was run\n"), "{told}");
        assert_eq!(told.matches("error: ").count(), 1, "{folder}: {told}");
        assert_eq!(refused.stdout, "");
        assert_eq!(journals(&desk.path("runs")), before, "{args:?}");
    }
    let beside = ["run", "gone.toml", "--report-dir", "runs/repeat-4"];
    desk.run(&beside).exits_with(3);
}

#[test]
fn runs_that_begin_in_the_same_second_have_folders_of_their_own() {
    let desk = Desk::new();
    desk.write("gone.toml", NOBODY);
    let started = (0..6).map(|_| {
        let mut command = desk.command(&["run", "gone.toml"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    });
    let started: Vec<_> = started.collect();
    for child in started {
        Finished::new(child.wait_with_output().unwrap()).exits_with(3);
    }
    assert_eq!(journals(&desk.path("chaosproxy-runs")).len(), 6);
}
