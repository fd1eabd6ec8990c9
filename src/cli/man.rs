//! `chaosproxy man`.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Command, CommandFactory};

use super::Cli;
use super::input::BAD_INPUT;
use super::output::Printer;

/// Arguments of `chaosproxy man`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Write a page for each command into this folder instead of printing them all.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    match write(args, printer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn write(args: &Args, printer: Printer) -> anyhow::Result<()> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    collect(&command, &mut pages).context("cannot render the pages")?;
    let Some(dir) = &args.dir else {
        for (_, page) in &pages {
            printer.data(page);
        }
        return Ok(());
    };
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    for (name, page) in &pages {
        let path = dir.join(format!("{name}.1"));
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        printer.say(&path.display().to_string());
    }
    Ok(())
}

/// The page of `command` and those of all below it that people may call.
fn collect(command: &Command, pages: &mut Vec<(String, String)>) -> io::Result<()> {
    let name = command.get_display_name().unwrap_or(command.get_name());
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .title(name)
        .render(&mut page)?;
    pages.push((name.to_owned(), String::from_utf8_lossy(&page).into_owned()));
    let below = command.get_subcommands();
    below
        .filter(|command| !command.is_hide_set() && command.get_name() != "help")
        .try_for_each(|command| collect(command, pages))
}
