//! `chaosproxy __guard`: the process that cleans up after a run, and its step into each child.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use super::output::Printer;
use crate::lab::guard;

/// Arguments of `chaosproxy __guard`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    step: Option<Step>,
}

#[derive(Debug, clap::Subcommand)]
enum Step {
    /// Turn into a child of the guard.
    Exec(guard::ShimArgs),
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let (result, code) = match &args.step {
        None => (serve(), 70),
        Some(Step::Exec(args)) => (Err(guard::turn_into_child(args)), 127),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&format!("chaosproxy: {error}"));
            ExitCode::from(code)
        }
    }
}

/// Serves the run at the other end of our standard input.
fn serve() -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(guard::serve(stream, &std::env::temp_dir()))
}
