//! `chaosproxy run`.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use super::input::{self, BAD_INPUT};
use super::output::Printer;
use super::suite::{self, Folders, OnFailure, Order, Surroundings};
use crate::check::Purpose;
use crate::scenario::Plan;

/// Something that should not happen; everything was healed.
pub const INTERNAL: u8 = 70;

/// Arguments of `chaosproxy run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario files, run one after another.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Where the journal and the reports go; made if it is not there, and refused if it holds a run.
    /// Of several runs each has a folder below it.
    /// Default: a new folder below `chaosproxy-runs`.
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
    /// Use this seed instead of the scenario's.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    #[arg(value_parser = input::whole::<u64>("from 0 to 18446744073709551615"))]
    seed: Option<u64>,
    /// Stop after the first run that is not green.
    #[arg(long)]
    fail_fast: bool,
    /// Run each file this often. A check that passes once and fails once is flaky and fails the
    /// file.
    #[arg(
        long,
        value_name = "N",
        default_value = "1",
        allow_negative_numbers = true
    )]
    #[arg(value_parser = input::whole::<NonZero<u32>>("from 1 to 4294967295"))]
    repeat: NonZero<u32>,
    /// Try an inconclusive run again, this often at most; the last try counts.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        allow_negative_numbers = true
    )]
    #[arg(value_parser = input::whole::<u32>("from 0 to 4294967295"))]
    retry_inconclusive: u32,
    /// Leave the checks out: keep the journal, to be judged later with `report RUN --checks FILE`.
    #[arg(long)]
    record: bool,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    // Every file is read before anything is run, so that a mistake in the last one costs no time.
    let plans: Vec<Option<Plan>> = args
        .files
        .iter()
        .map(|file| {
            let (_, mut plan) = input::plan(file, "nothing was run", printer)?;
            plan.seed = args.seed.unwrap_or(plan.seed);
            if args.record {
                plan.experiment.purpose = Purpose::Record;
                plan.experiment.checks.clear();
                plan.baselines.clear();
            }
            Some(plan)
        })
        .collect();
    let Some(plans) = plans.into_iter().collect::<Option<Vec<_>>>() else {
        return ExitCode::from(BAD_INPUT);
    };
    let (repeat, retries) = (args.repeat, args.retry_inconclusive);
    let order = Order {
        folders: Folders::new(args.report_dir.as_deref(), &plans, repeat.get(), retries),
        plans,
        repeat,
        retries,
        on_failure: if args.fail_fast {
            OnFailure::Stop
        } else {
            OnFailure::GoOn
        },
    };
    match suite::perform(&order, &Surroundings::of_this_process(), printer) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(INTERNAL)
        }
    }
}
