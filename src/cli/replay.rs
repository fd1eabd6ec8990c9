//! `chaosproxy replay`.

use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use super::input::{self, BAD_INPUT};
use super::output::Printer;
use super::run::INTERNAL;
use super::suite::{self, Folders, OnFailure, Order, Surroundings};
use crate::check::{Experiment, Purpose};
use crate::diag::Source;
use crate::event::{Event, Fact, Journal};
use crate::scenario::{BaselineOrigin, Plan};

/// Arguments of `chaosproxy replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the run to repeat, or its journal.
    run: PathBuf,
    /// Where the journal and the reports go; made if it is not there, and refused if it holds a run.
    /// Default: a new folder below `chaosproxy-runs`.
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let plan = match recorded(args, printer) {
        Ok(Some(plan)) => plan,
        Ok(None) => return ExitCode::from(BAD_INPUT),
        Err(error) => {
            printer.error(&format!("error: {error:#}; nothing was run"));
            return ExitCode::from(BAD_INPUT);
        }
    };
    let plans = vec![plan];
    let order = Order {
        folders: Folders::new(args.report_dir.as_deref(), &plans, 1, 0),
        plans,
        repeat: NonZero::<u32>::MIN,
        retries: 0,
        on_failure: OnFailure::GoOn,
    };
    match suite::perform(&order, &Surroundings::of_this_process(), printer) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(INTERNAL)
        }
    }
}

/// The plan of the recorded run: its text, its seed, and its purpose. `None` if the text cannot be
/// used, which has been told.
fn recorded(args: &Args, printer: Printer) -> anyhow::Result<Option<Plan>> {
    let (journal, Journal { header, events, .. }) = input::journal(&args.run)?;
    let before: Experiment = serde_json::from_value(header.plan)
        .with_context(|| format!("{}: its plan cannot be read", journal.display()))?;
    let source = Source {
        name: header.scenario_path,
        text: header.scenario_text.into(),
    };
    let Some(mut plan) = input::resolve(&source, "nothing was run", printer) else {
        return Ok(None);
    };
    plan.seed = header.seed;
    compare_with_the_same(&mut plan, events);
    // What the scenario says of its folder would put the replay in the place of the run.
    plan.report_dir = None;
    plan.experiment.purpose = before.purpose;
    if before.purpose == Purpose::Record {
        plan.experiment.checks.clear();
    }
    if plan.experiment != before {
        printer.error(&format!(
            "warning: the recorded text means something else than it did: recorded by version {} \
             of chaosproxy, this is {}; or the environment or the catalogue in `faults/` changed",
            header.chaosproxy,
            env!("CARGO_PKG_VERSION")
        ));
    }
    Ok(Some(plan))
}

/// Stored baselines are those that the recorded run found, whatever became of the files.
fn compare_with_the_same(plan: &mut Plan, events: Vec<Event>) {
    for event in events {
        if let Fact::StoredBaseline { check, text, .. } = event.fact
            && let Some(spec) = plan.baselines.iter_mut().find(|spec| spec.check == check)
        {
            spec.origin = BaselineOrigin::Recorded(text);
        }
    }
}
