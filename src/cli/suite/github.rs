use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::input;
use crate::cli::output::Printer;
use crate::report::suite::{self, Suite};

/// Where the program runs, as far as that changes what it tells.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    annotate: bool,
    summary: Option<PathBuf>,
}

impl Surroundings {
    /// Reads the environment: GitHub Actions takes annotations from standard output, and a summary
    /// from a file that it names.
    pub fn of_this_process() -> Self {
        Self {
            annotate: input::is_annotated(),
            summary: std::env::var_os("GITHUB_STEP_SUMMARY")
                .filter(|path| !path.is_empty())
                .map(Into::into),
        }
    }

    /// Tells what the suite came to.
    pub fn write(&self, suite: &Suite, printer: Printer) -> anyhow::Result<()> {
        if self.annotate {
            let annotations = suite::annotations(suite);
            if !annotations.is_empty() {
                printer.data(&annotations);
            }
        }
        let Some(path) = &self.summary else {
            return Ok(());
        };
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .and_then(|mut file| file.write_all(suite::markdown(suite).as_bytes()))
            .with_context(|| format!("cannot write the step summary {}", path.display()))
    }
}
