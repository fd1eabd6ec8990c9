//! `chaosproxy schema`.

use std::process::ExitCode;

use super::output::Printer;

/// Arguments of `chaosproxy schema`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args, _printer: Printer) -> ExitCode {
    ExitCode::from(70)
}
