//! `chaosproxy run`.

use std::process::ExitCode;

use super::output::Printer;

/// Arguments of `chaosproxy run`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args, _printer: Printer) -> ExitCode {
    ExitCode::from(70)
}
