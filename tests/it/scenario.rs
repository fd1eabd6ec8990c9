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
        let secrets = scenario::secrets(&source, &env);
        let shown = secrets.mask(&shown).into_owned();
        assert!(!shown.contains("s3cr3t"), "{} shows a secret", source.name);
        assert!(!shown.contains("hunter"), "{} shows a secret", source.name);
        assert_current(&path.with_extension("stderr"), &shown);
    }
    assert!(mistakes >= 40, "only {mistakes} mistakes are shown");
}

/// The first literal that a diagnostic says to write in the place of a value.
fn advice(found: &diag::Diagnostic) -> Option<&str> {
    let help = found.help.as_deref()?.strip_prefix("write ")?;
    let (before, rest) = help.split_once('`')?;
    let (literal, after) = rest.split_once('`')?;
    let whole = ["", "an address such as "].contains(&before);
    let instead = !after.starts_with(" for ") && !after.starts_with(" beside");
    let is_literal = !literal.contains(['=', '…', ' ']) && !literal.contains("NAME");
    (whole && instead && is_literal).then_some(literal)
}

#[test]
fn advice_is_accepted_when_it_is_taken() {
    let catalogue = Catalogue::embedded().unwrap();
    let mut taken = 0;
    for path in toml_files("tests/ui") {
        let source = read(&path);
        let (_, found) = scenario::load(&source, &env, &catalogue);
        for (mistake, literal) in found.iter().filter_map(|one| Some((one, advice(one)?))) {
            let span = mistake.primary.as_ref().unwrap().span;
            if !source.text[span.start..span.end].starts_with(['"', '\'']) {
                continue;
            }
            let (before, after) = (&source.text[..span.start], &source.text[span.end..]);
            let followed = Source {
                name: source.name.clone(),
                text: format!("{before}{literal:?}{after}").into(),
            };
            let (_, found) = scenario::load(&followed, &env, &catalogue);
            let again = found.iter().find(|one| {
                let place = one.primary.as_ref().map(|label| label.span.start);
                one.severity == Severity::Error && place == Some(span.start)
            });
            assert!(again.is_none(), "{}: `{literal}`: {again:?}", source.name);
            taken += 1;
        }
    }
    assert!(taken >= 5, "only {taken} advices were taken");
}

#[test]
fn a_file_that_is_too_large_is_refused_at_once() {
    let catalogue = Catalogue::embedded().unwrap();
    let head = "[scenario]\ntitle = \"t\"\nduration = \"1s\"\n";
    for (rest, expected) in [
        (
            "[[proxy]]\n".repeat(10_000),
            "the file has 10001 blocks, and may have 10000",
        ),
        ("#\n".repeat(1 << 21), "the file is longer than 4 MiB"),
    ] {
        let source = Source {
            name: "large.toml".to_owned(),
            text: format!("{head}{rest}").into(),
        };
        let (plan, found) = scenario::load(&source, &env, &catalogue);
        let messages: Vec<_> = found.iter().map(|one| &*one.message).collect();
        assert!(plan.is_none());
        assert_eq!(messages, [expected]);
    }
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

#[test]
fn limits_hold_for_the_plan_and_for_checks_of_another_file_without_limits() {
    const CHECK: &str = "[[check]]\nname = 'fast'\ntype = 'slo'\nthat = ['reads.p95 <= 1s']\n";
    let source = |limits: &str| {
        Source {
        name: "limits.toml".to_owned(),
        text: format!(
            "[scenario]\ntitle = 'limits'\nduration = '60s'\n{CHECK}{limits}
            [[service]]\nname = 'web'\nurl = 'http://127.0.0.1:8080'
            [[workload]]\nname = 'reads'\nservice = 'web'\nrate = '100/s'\nrequest = {{ path = '/' }}"
        )
        .into(),
    }
    };
    let recorded = source("[limits]\nmax_busy = '80%'\n");
    let (plan, found) = scenario::load(&recorded, &env, &Catalogue::embedded().unwrap());
    let plan = plan.unwrap_or_else(|| panic!("{found:#?}"));
    assert_eq!(plan.experiment.limits.max_busy.to_string(), "80%");
    for (limits, busy, late) in [
        ("", "80%", "5ms"),
        ("[limits]\nmax_lateness = '7ms'\n", "95%", "7ms"),
    ] {
        let text = format!("{CHECK}{limits}").into();
        let name = "checks.toml".to_owned();
        let (judged, found) = scenario::load_checks(&Source { name, text }, &recorded, &plan, &env);
        let (checks, limits) = judged.unwrap_or_else(|| panic!("{found:#?}"));
        assert_eq!(checks.len(), 1);
        assert_eq!(limits.max_busy.to_string(), busy);
        assert_eq!(limits.max_lateness.to_string(), late);
    }
}
