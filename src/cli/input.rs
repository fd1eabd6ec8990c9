//! Reads scenarios and the catalogue for every command that takes them.

use std::path::Path;

use anyhow::Context as _;

use super::output::Printer;
use crate::diag::{self, Diagnostic, Source, Style};
use crate::fault::catalogue::Catalogue;
use crate::scenario::{self, Plan};

/// Exit code for a file or an argument that cannot be used.
pub const BAD_INPUT: u8 = 2;

/// Reads the scenario at `path` and shows every diagnostic; `None` if it cannot be used.
/// `refusal` says what that means for the command (`nothing was run`).
pub fn plan(path: &Path, refusal: &str, printer: Printer) -> Option<(Source, Plan)> {
    match read(path) {
        Ok((source, plan, diagnostics)) => {
            if !diagnostics.is_empty() {
                let shown = diag::render(&diagnostics, &source, Style::Coloured);
                let summary = diag::summary(
                    &diagnostics,
                    &source,
                    if plan.is_some() {
                        "usable as it is"
                    } else {
                        refusal
                    },
                );
                printer.error(&format!("{shown}{summary}"));
            }
            plan.map(|plan| (source, plan))
        }
        Err(error) => {
            printer.error(&format!("error: {error:#}; {refusal}"));
            None
        }
    }
}

fn read(path: &Path) -> anyhow::Result<(Source, Option<Plan>, Vec<Diagnostic>)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let source = Source {
        name: path.display().to_string(),
        text: text.into(),
    };
    let catalogue = catalogue()?;
    let (plan, diagnostics) = scenario::load(&source, &environment, &catalogue);
    Ok((source, plan, diagnostics))
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
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
