//! The house rules that a compiler does not enforce: layers, file sizes, no leftovers.

use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules by layer; a module may import its own layer's `same` list and everything
/// below.
const LAYERS: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("template", &[]),
    ("jsonpath", &[]),
    ("sys", &["units"]),
    ("own", &["sys", "units"]),
    ("sql", &["own"]),
    ("diag", &["units"]),
    ("event", &["units"]),
    ("wire", &["event", "units"]),
    ("fault", &["event", "wire", "units", "diag"]),
    ("action", &["fault", "event", "units"]),
    ("check", &["fault", "event", "diag", "units"]),
    (
        "proxy",
        &["fault", "action", "wire", "event", "units", "own", "sys"],
    ),
    (
        "probe",
        &[
            "event", "units", "template", "jsonpath", "own", "sql", "sys", "http", "load",
        ],
    ),
    ("http", &["event", "units"]),
    (
        "load",
        &["event", "units", "template", "jsonpath", "sys", "http"],
    ),
    (
        "lab",
        &["event", "units", "template", "own", "sql", "sys", "http"],
    ),
    (
        "scenario",
        &[
            "action", "check", "fault", "probe", "load", "lab", "event", "diag", "units",
            "template", "jsonpath",
        ],
    ),
    (
        "engine",
        &[
            "proxy", "lab", "action", "fault", "event", "units", "own", "sys",
        ],
    ),
    ("report", &["event", "check", "diag", "units"]),
    (
        "run",
        &[
            "action", "check", "diag", "engine", "event", "fault", "lab", "load", "probe", "proxy",
            "report", "scenario", "sys", "template", "units",
        ],
    ),
    ("demo", &["units"]),
];

fn rust_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The module that a file under `src` belongs to: its first path component without ending.
fn module(file: &Path) -> String {
    let relative = file.strip_prefix(root().join("src")).unwrap();
    let first = relative.components().next().unwrap().as_os_str();
    first.to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// Names that follow `crate::` in the text, those of `use crate::{a, b::c}` included.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0_i32;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => names.push(std::mem::take(&mut name)),
                    _ if depth == 0 => name.push(letter),
                    _ => {}
                }
            }
            names.push(name);
        } else {
            names.push(rest.to_owned());
        }
    }
    names
        .iter()
        .map(|name| {
            name.trim()
                .chars()
                .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                .collect::<String>()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn modules_import_only_from_the_layers_below() {
    let mut checked = 0;
    let mut wrong = Vec::new();
    for file in rust_files(&root().join("src")) {
        let module = module(&file);
        if ["main", "lib", "cli"].contains(&module.as_str()) {
            continue;
        }
        let allowed = LAYERS
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("{}: module `{module}` has no layer", file.display()))
            .1;
        for import in imports(&fs::read_to_string(&file).unwrap()) {
            checked += 1;
            if import != module && !allowed.contains(&import.as_str()) {
                wrong.push(format!(
                    "{}: `{module}` must not import `{import}`",
                    file.display()
                ));
            }
        }
    }
    assert!(checked > 30, "only {checked} imports were seen");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_longer_than_600_lines() {
    let mut files = rust_files(&root().join("src"));
    files.extend(rust_files(&root().join("tests")));
    assert!(files.len() > 30, "only {} files were seen", files.len());
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 600, "{}: {lines} lines", file.display());
    }
}

#[test]
fn imports_are_found_in_every_form() {
    let text = "use crate::{units::{Moment, Clock}, diag};\nlet x = crate::fault::kind(name);";
    assert_eq!(imports(text), ["units", "diag", "fault"]);
}
