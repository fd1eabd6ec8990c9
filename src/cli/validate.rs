//! `chaosproxy validate`.

use std::path::PathBuf;
use std::process::ExitCode;

use super::input;
use super::output::Printer;

/// Arguments of `chaosproxy validate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for file in &args.files {
        match input::plan(file, "not valid", printer) {
            Some(_) => printer.data(&format!("{}: valid", file.display())),
            None => code = ExitCode::from(input::BAD_INPUT),
        }
    }
    code
}
