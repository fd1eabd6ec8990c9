//! `chaosproxy baseline`.

mod compare;
mod runs;
mod save;

use std::process::ExitCode;

use super::input::BAD_INPUT;
use super::output::Printer;

/// Arguments of `chaosproxy baseline`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Store the figures of runs, for later ones to be compared with.
    Save(save::Args),
    /// Compare the figures of runs with stored ones.
    Compare(compare::Args),
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let done = match &args.command {
        Command::Save(args) => save::save(args, printer).map(|()| 0),
        Command::Compare(args) => compare::compare(args, printer),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(BAD_INPUT)
        }
    }
}
