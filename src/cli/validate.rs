//! `chaosproxy validate`.

use std::process::ExitCode;

use super::output::Printer;

/// Arguments of `chaosproxy validate`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args, _printer: Printer) -> ExitCode {
    ExitCode::from(70)
}
