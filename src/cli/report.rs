//! `chaosproxy report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::output::Printer;
use crate::event::Journal;
use crate::report;

/// Arguments of `chaosproxy report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a run, or its journal.
    run: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the report's files into the run's folder again.
    #[arg(long)]
    write: bool,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// As in `report.json`.
    Json,
    /// As in `junit.xml`.
    Junit,
}

/// The exit code for a run that cannot be read.
const USAGE: u8 = 2;

/// Runs the command; the exit code is that of the run.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    match report(args, printer) {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

fn report(args: &Args, printer: Printer) -> anyhow::Result<u8> {
    let path = if args.run.is_dir() {
        args.run.join(report::JOURNAL_FILE)
    } else {
        args.run.clone()
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let journal = Journal::read(&path)?;
    if journal.truncated {
        printer.error(&format!(
            "warning: {}: the last line is cut off and left out; judged by what stands before it",
            path.display()
        ));
    }
    let scenario = journal.header.scenario_text.clone();
    let report = report::rebuild(journal).with_context(|| path.display().to_string())?;
    if args.write {
        report::write(&report, &scenario, folder)?;
    }
    printer.data(&match args.format {
        Format::Text => report::text(&report, &scenario, folder),
        Format::Json => report::json(&report),
        Format::Junit => report::junit(&report, &scenario),
    });
    Ok(report.exit_code)
}
