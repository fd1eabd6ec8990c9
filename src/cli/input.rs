//! Reads scenarios and the catalogue for every command that takes them.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;

use super::output::Printer;
use crate::check::{CheckSpec, Limits};
use crate::diag::{self, Diagnostic, Source, Style};
use crate::event::Journal;
use crate::fault::catalogue::Catalogue;
use crate::report;
use crate::scenario::{self, Plan};
use crate::units::UnitError;

/// Exit code for a file or an argument that cannot be used.
pub const BAD_INPUT: u8 = 2;

/// Reads the scenario at `path` and shows every diagnostic; `None` if it cannot be used.
/// `refusal` says what that means for the command (`nothing was run`).
pub fn plan(path: &Path, refusal: &str, printer: Printer) -> Option<(Source, Plan)> {
    let source = source(path, refusal, printer)?;
    let plan = resolve(&source, refusal, printer)?;
    Some((source, plan))
}

/// Makes a plan of a scenario's text; the rest as [`plan`].
pub fn resolve(source: &Source, refusal: &str, printer: Printer) -> Option<Plan> {
    super::output::conceal(scenario::secrets(source, &environment));
    match catalogue() {
        Ok(catalogue) => {
            let (plan, found) = scenario::load(source, &environment, &catalogue);
            show(&found, source, plan.is_some(), refusal, printer);
            annotate(&found, source, plan.is_some(), printer);
            plan
        }
        Err(error) => {
            printer.error(&format!("error: {error:#}; {refusal}"));
            None
        }
    }
}

/// Reads the checks of the file at `path`, to judge by them a run of the scenario `recorded`, which
/// became `plan`; the rest as [`plan`].
pub fn checks(
    path: &Path,
    recorded: &Source,
    plan: &Plan,
    printer: Printer,
) -> Option<(Source, Vec<CheckSpec>, Limits)> {
    let refusal = "nothing was judged";
    let source = source(path, refusal, printer)?;
    let (checks, found) = scenario::load_checks(&source, recorded, plan, &environment);
    show(&found, &source, checks.is_some(), refusal, printer);
    annotate(&found, &source, checks.is_some(), printer);
    let (checks, limits) = checks?;
    Some((source, checks, limits))
}

fn source(path: &Path, refusal: &str, printer: Printer) -> Option<Source> {
    let text = std::fs::read_to_string(path);
    let name = path.display().to_string();
    let why = match text {
        Ok(text) => {
            let text = text.into();
            return Some(Source { name, text });
        }
        Err(error) => match error.kind() {
            ErrorKind::InvalidData => "it is not a text in UTF-8".to_owned(),
            ErrorKind::IsADirectory => "it is a folder; name a file in it".to_owned(),
            _ => error.to_string(),
        },
    };
    printer.error(&format!("error: cannot read {name}: {why}; {refusal}"));
    None
}

/// Shows what was found, if anything, and what that means.
pub fn show(found: &[Diagnostic], source: &Source, usable: bool, refusal: &str, printer: Printer) {
    if !found.is_empty() {
        let shown = diag::render(found, source, Style::Coloured);
        let meaning = if usable { "usable as it is" } else { refusal };
        let summary = diag::summary(found, source, meaning);
        printer.error(&format!("{shown}{summary}"));
    }
}

/// Tells GitHub Actions, which takes it from standard output, of what makes a file unusable.
fn annotate(found: &[Diagnostic], source: &Source, usable: bool, printer: Printer) {
    if is_annotated() && !usable {
        printer.data(&diag::annotations(found, source));
    }
}

/// Whether GitHub Actions reads what is printed.
pub fn is_annotated() -> bool {
    std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true")
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The journal of a run that is named by its folder or by the journal itself, and its path.
pub fn journal(run: &Path) -> anyhow::Result<(PathBuf, Journal)> {
    let path = if run.is_dir() {
        run.join(report::JOURNAL_FILE)
    } else {
        run.to_owned()
    };
    let journal = Journal::read(&path).with_context(|| no_run(run))?;
    Ok((path, journal))
}

/// What to tell of a path that leads to no run.
fn no_run(path: &Path) -> String {
    let path = path.display();
    format!("no run can be read at {path}; name the folder that a run reported, or its journal")
}

/// Reads a whole number of the command line; `range` is told if it is none.
pub fn whole<T: FromStr>(range: &'static str) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        text.parse()
            .map_err(|_| format!("write a whole number {range}"))
    }
}

/// Reads a quantity with a unit of the command line.
pub fn quantity<T: FromStr<Err = UnitError>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| format!("expected {error}"))
}

/// The embedded catalogue, with the files in `faults/` of the working directory over it.
pub fn catalogue() -> anyhow::Result<Catalogue> {
    let mut catalogue = Catalogue::embedded()?;
    let Ok(folder) = std::fs::read_dir("faults") else {
        return Ok(catalogue);
    };
    for file in folder {
        let path = file.context("cannot list faults/")?.path();
        if path.extension().is_some_and(|ending| ending == "toml") {
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            catalogue.add(&name, &text)?;
        }
    }
    Ok(catalogue)
}
