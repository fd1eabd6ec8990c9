//! `chaosproxy report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::input;
use super::output::Printer;
use crate::check::{self, Experiment, Purpose};
use crate::diag::Source;
use crate::event::{Event, Journal};
use crate::units::Moment;
use crate::{report, run};

/// Arguments of `chaosproxy report`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of a run, or its journal.
    run: PathBuf,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Write the report's files into the run's folder again.
    #[arg(long)]
    write: bool,
    /// Judge by the checks of this scenario file instead of the run's own.
    #[arg(long, value_name = "FILE")]
    checks: Option<PathBuf>,
}

/// The forms of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Text,
    /// As in `report.json`.
    Json,
    /// As in `junit.xml`.
    Junit,
    /// As in `report.html`.
    Html,
}

/// The exit code for a run that cannot be read.
const USAGE: u8 = 2;

/// Runs the command; the exit code is that of the run.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    match report(args, printer) {
        Ok(exit_code) => ExitCode::from(exit_code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(USAGE)
        }
    }
}

/// Puts the checks of `file` in the place of the run's own, with the baselines that they compare
/// with as they are now. `false`: they cannot be used, which has been told.
fn judge_by(file: &Path, journal: &mut Journal, printer: Printer) -> anyhow::Result<bool> {
    let header = &mut journal.header;
    let recorded = Source {
        name: header.scenario_path.clone(),
        text: header.scenario_text.as_str().into(),
    };
    let refusal = "the recorded scenario cannot be read again";
    let Some(plan) = input::resolve(&recorded, refusal, printer) else {
        return Ok(false);
    };
    let Some((source, checks, limits)) = input::checks(file, &recorded, &plan, printer) else {
        return Ok(false);
    };
    let mut experiment: Experiment =
        serde_json::from_value(header.plan.take()).context("the journal's plan cannot be read")?;
    for spec in &checks {
        let path = check::kind(&spec.kind).and_then(|kind| (kind.baseline)(&spec.params));
        journal.events.extend(path.map(|path| Event {
            at: Moment::ZERO,
            fact: run::stored_baseline(&spec.name, &path, &header.environment),
        }));
    }
    experiment.checks = checks;
    experiment.limits = limits;
    experiment.purpose = Purpose::Judge;
    header.plan = serde_json::to_value(experiment).context("the checks cannot be kept")?;
    // Places in a report are places in the text that demands.
    header.scenario_sha256 = run::sha256(&source.text);
    header.scenario_text = source.text.to_string();
    header.scenario_path = source.name;
    Ok(true)
}

fn report(args: &Args, printer: Printer) -> anyhow::Result<u8> {
    let (path, mut journal) = input::journal(&args.run)?;
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let path_shown = path.display();
    if journal.truncated {
        printer.error(&format!(
            "warning: {path_shown}: its end is cut off; judged by what stands before it"
        ));
    }
    if journal.missing > 0 {
        let missing = journal.missing;
        printer.error(&format!(
            "warning: {path_shown}: {missing} of its lines are missing; no check passes or fails"
        ));
    }
    let recorded = journal.header.scenario_path.clone();
    if let Some(file) = &args.checks
        && !judge_by(file, &mut journal, printer)?
    {
        return Ok(USAGE);
    }
    let scenario = journal.header.scenario_text.clone();
    let mut report = report::rebuild(journal).with_context(|| path.display().to_string())?;
    if let Some(file) = &args.checks {
        let file = std::path::absolute(file).context("cannot name the file of the checks")?;
        report.judge_again = format!("chaosproxy report . --checks {}", file.display());
        report.notes.push(format!(
            "recorded with {recorded}; judged by the checks of {}",
            file.display()
        ));
    }
    if args.write {
        report::write(&report, &scenario, folder)?;
    }
    printer.data(&match args.format {
        Format::Text => report::text(&report, &scenario, folder),
        Format::Json => report::json(&report),
        Format::Junit => report::junit(&report, &scenario),
        Format::Html => report::html(&report, &scenario),
    });
    Ok(report.exit_code)
}
