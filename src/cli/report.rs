//! `chaosproxy report`.

use std::process::ExitCode;

/// Arguments of `chaosproxy report`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs the command.
pub fn main(_args: &Args) -> ExitCode {
    ExitCode::from(70)
}
