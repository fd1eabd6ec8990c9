//! The command line: the only place that prints, exits and reads the environment.

pub mod baseline;
pub mod completions;
pub mod conductor;
pub mod demo;
pub mod faults;
pub mod guard;
pub mod init;
pub mod input;
pub mod live;
pub mod log;
pub mod man;
pub mod output;
pub mod plan;
pub mod replay;
pub mod report;
pub mod run;
pub mod schema;
pub mod suite;
pub mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Breaks the path between servers and PostgreSQL on a schedule, and proves with measured evidence
/// how the servers cope.
#[derive(Debug, Parser)]
#[command(name = "chaosproxy", version, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    output: output::OutputArgs,
    #[command(flatten)]
    log: log::LogArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a scenario and judge it.
    Run(run::Args),
    /// Write a scenario to begin with.
    Init(init::Args),
    /// Check scenario files without running anything.
    Validate(validate::Args),
    /// Show what a scenario would do: its targets and its timeline.
    Plan(plan::Args),
    /// List the kinds of fault and the catalogue, or explain one.
    Faults(faults::Args),
    /// Judge and render a finished run again from its journal.
    Report(report::Args),
    /// Carry out a finished run once more: the same text, the same seed.
    Replay(replay::Args),
    /// Store the figures of runs, and compare others with them.
    Baseline(baseline::Args),
    /// Print the JSON Schema of scenario files or of reports.
    Schema(schema::Args),
    /// Start a reference server to try scenarios on.
    Demo(demo::Args),
    /// Print the script by which a shell completes commands and options.
    Completions(completions::Args),
    /// Print the manual pages.
    Man(man::Args),
    /// The process that cleans up after a run, however it ends.
    #[command(name = "__guard", hide = true)]
    Guard(guard::Args),
}

/// Runs the command line and gives the process's exit code.
pub fn main() -> ExitCode {
    let Cli {
        output,
        log,
        command,
    } = Cli::parse();
    let printer = output::Printer::new(output);
    // A reference server has a log of its own, whose lines are all JSON.
    if !matches!(command, Command::Demo(_) | Command::Guard(_)) {
        log::start(&log, printer);
    }
    let code = match command {
        Command::Run(args) => run::main(&args, printer),
        Command::Init(args) => init::main(&args, printer),
        Command::Validate(args) => validate::main(&args, printer),
        Command::Plan(args) => plan::main(&args, printer),
        Command::Faults(args) => faults::main(&args, printer),
        Command::Report(args) => report::main(&args, printer),
        Command::Replay(args) => replay::main(&args, printer),
        Command::Baseline(args) => baseline::main(&args, printer),
        Command::Completions(args) => completions::main(&args, printer),
        Command::Man(args) => man::main(&args, printer),
        Command::Schema(args) => schema::main(&args, printer),
        Command::Demo(args) => demo::main(&args),
        Command::Guard(args) => guard::main(&args, printer),
    };
    output::honest(code)
}
