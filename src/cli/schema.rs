//! `chaosproxy schema`.

use std::process::ExitCode;

use super::output::Printer;
use crate::{report, scenario};

/// Arguments of `chaosproxy schema`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose schema.
    #[arg(value_enum)]
    of: Document,
}

/// A kind of file with a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Document {
    /// Scenario files.
    Scenario,
    /// `report.json` of a run.
    Report,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let schema = match args.of {
        Document::Scenario => scenario::schema(),
        Document::Report => report::schema().to_value(),
    };
    printer.data(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
