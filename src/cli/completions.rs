//! `chaosproxy completions`.

use std::process::ExitCode;

use clap::CommandFactory;

use super::Cli;
use super::output::Printer;

/// Arguments of `chaosproxy completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let mut script = Vec::new();
    let mut command = Cli::command();
    clap_complete::generate(args.shell, &mut command, "chaosproxy", &mut script);
    printer.data(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}
