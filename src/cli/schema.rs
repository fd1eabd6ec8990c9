//! `chaosproxy schema`.

use std::process::ExitCode;

/// Arguments of `chaosproxy schema`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::from(70)
}
