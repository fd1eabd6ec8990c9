//! Several runs in a row: which follow which, where each one's folder is, and what is told at the
//! end. What they come to together is for [`crate::report::suite`] to say.

mod folders;
mod github;

pub use folders::Folders;
pub use github::Surroundings;

use std::fs;
use std::num::NonZero;
use std::path::Path;

use anyhow::Context;

use super::conductor::Conductor;
use super::input::BAD_INPUT;
use super::output::Printer;
use crate::report::suite::{self, Repetition, Series, Suite};
use crate::report::{JUNIT_FILE, Outcome};
use crate::scenario::Plan;
use crate::sys::folder;

/// Runs that are to follow each other.
pub struct Order {
    /// The scenarios.
    pub plans: Vec<Plan>,
    /// How often each one is run.
    pub repeat: NonZero<u32>,
    /// How often an inconclusive run is tried again.
    pub retries: u32,
    /// Whether a run that is not green is the last one.
    pub on_failure: OnFailure,
    /// Where the reports go.
    pub folders: Folders,
}

/// What follows a run that is not green.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The next one.
    GoOn,
    /// Nothing.
    Stop,
}

/// Carries out the order and tells what it came to; gives the exit code.
pub fn perform(order: &Order, surroundings: &Surroundings, printer: Printer) -> anyhow::Result<u8> {
    if let Some(run) = order.folders.taken() {
        printer.error(&taken(order.folders.root(), &run));
        return Ok(BAD_INPUT);
    }
    let mut conductor = Conductor::start(printer)?;
    let mut suite = Suite {
        series: order
            .plans
            .iter()
            .map(|plan| Series::new(plan.path.clone()))
            .collect(),
    };
    for (index, plan) in order.plans.iter().enumerate() {
        let series = &mut suite.series[index];
        series_of(order, index, plan, series, &mut conductor, printer);
        if ends_suite(series, order.on_failure) {
            break;
        }
    }
    if order.folders.several() {
        let root = order.folders.root();
        folder::make_private(root)
            .and_then(|()| fs::write(root.join(JUNIT_FILE), suite::junit(&suite)))
            .with_context(|| format!("cannot write {JUNIT_FILE} into {}", root.display()))?;
        printer.data(&suite::text(&suite));
    }
    surroundings.write(&suite, printer)?;
    Ok(suite.exit_code())
}

fn taken(root: &Path, run: &Path) -> String {
    let within = if run == root {
        String::new()
    } else {
        format!(" ({})", run.display())
    };
    format!(
        "error: {} holds a run already{within}; remove it, or `--report-dir` names another; nothing \
         was run",
        root.display()
    )
}

/// All repetitions of one file, each with its tries.
fn series_of(
    order: &Order,
    index: usize,
    plan: &Plan,
    series: &mut Series,
    conductor: &mut Conductor,
    printer: Printer,
) {
    for repetition in 0..order.repeat.get() {
        for attempt in 0..=order.retries {
            let folder = order.folders.of(index, repetition, attempt);
            if order.folders.several() {
                printer.say(&format!("run: {} -> {}", plan.path, folder.display()));
            }
            let run = match conductor.perform(plan.clone(), &folder) {
                Ok(run) => run,
                Err(error) => {
                    printer.error(&format!("error: {error:#}"));
                    series.error = Some(format!("{error:#}"));
                    return;
                }
            };
            let outcome = run.report.outcome;
            match series.repetitions.last_mut() {
                Some(repetition) if attempt > 0 => repetition.try_again(run),
                _ => series.repetitions.push(Repetition::new(run)),
            }
            if outcome != Outcome::Inconclusive {
                break;
            }
        }
        if ends_suite(series, order.on_failure) {
            return;
        }
    }
}

/// Whoever interrupts wants to leave; everything else is for the order to say.
fn ends_suite(series: &Series, on_failure: OnFailure) -> bool {
    match series.exit_code() {
        0 => false,
        129 | 130 | 143 => true,
        _ => on_failure == OnFailure::Stop,
    }
}
