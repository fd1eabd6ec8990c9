//! `chaosproxy faults`.

use std::process::ExitCode;

/// Arguments of `chaosproxy faults`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::from(70)
}
