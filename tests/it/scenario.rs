//! Scenario files as people write them: every mistake with its message, every shipped file valid,
//! generated documents current.

use std::fs;
use std::path::{Path, PathBuf};

use chaosproxy::cli;
use chaosproxy::diag::{self, Severity, Source, Style};
use chaosproxy::fault::{self, catalogue::Catalogue};
use chaosproxy::scenario;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> Source {
    Source {
        name: path.file_name().unwrap().to_string_lossy().into_owned(),
        text: fs::read_to_string(path).unwrap().into(),
    }
}

/// The environment of every file in this test: one variable, and it is a secret.
fn env(name: &str) -> Option<String> {
    (name == "SECRET").then(|| "s3cr3t".to_owned())
}

/// Compares with the file at `path`, or writes it if `UPDATE=1` is set.
fn assert_current(path: &Path, found: &str) {
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        fs::write(path, found).unwrap();
        return;
    }
    let kept = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        found,
        kept,
        "{} is not current; run the tests with UPDATE=1 and look at the difference",
        path.display()
    );
}

#[test]
fn every_mistake_is_reported_with_its_place_and_what_to_write() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut mistakes = 0;
    for path in toml_files("tests/ui") {
        let source = read(&path);
        let (plan, found) = scenario::load(&source, &env, &catalogue);
        let errors = found
            .iter()
            .filter(|diagnostic| diagnostic.severity == Severity::Error)
            .count();
        assert_eq!(plan.is_none(), errors > 0, "{}", source.name);
        assert!(!found.is_empty(), "{} has no mistake", source.name);
        mistakes += found.len();
        let shown = diag::render(&found, &source, Style::Plain)
            + &diag::summary(&found, &source, "nothing was run")
            + "\n";
        assert!(!shown.contains("s3cr3t"), "{} shows a secret", source.name);
        assert_current(&path.with_extension("stderr"), &shown);
    }
    assert!(mistakes >= 40, "only {mistakes} mistakes are shown");
}

#[test]
fn every_shipped_scenario_is_valid_and_without_warnings() {
    let catalogue = Catalogue::embedded().unwrap();
    let files = toml_files("scenarios");
    assert!(!files.is_empty());
    for path in files {
        let source = read(&path);
        let (plan, found) = scenario::load(&source, &|_| None, &catalogue);
        let shown = diag::render(&found, &source, Style::Plain);
        assert!(plan.is_some() && found.is_empty(), "{shown}");
    }
}

#[test]
fn the_generated_documents_are_current() {
    let docs = root().join("docs");
    let catalogue = Catalogue::embedded().unwrap();
    assert_current(&docs.join("faults.md"), &cli::faults::document(&catalogue));
    let schema = format!("{:#}\n", scenario::schema());
    assert_current(&docs.join("schema/scenario.schema.json"), &schema);
}

#[test]
fn no_parameter_of_a_kind_hides_behind_a_common_key() {
    let common = [
        "name", "type", "use", "target", "at", "for", "after", "with", "every",
    ];
    let more = [
        "count",
        "sweep",
        "gap",
        "ramp",
        "percent",
        "affect",
        "direction",
        "match",
        "min_hits",
    ];
    for kind in fault::kinds() {
        for param in scenario::params((kind.schema)()) {
            let taken = common.iter().chain(&more).any(|key| *key == param.name);
            assert!(!taken, "`{}` of `{}`", param.name, kind.name);
            assert!(
                !param.text.is_empty(),
                "`{}` of `{}` is not explained",
                param.name,
                kind.name
            );
        }
    }
}
