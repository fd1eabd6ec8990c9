use std::path::PathBuf;

use anyhow::Context;

use super::runs;
use crate::check::baseline::Baseline;
use crate::check::plural;
use crate::cli::output::Printer;

/// Arguments of `chaosproxy baseline save`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders of runs, or folders of such folders; three runs at least can be compared with.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file to store them in; what it held is replaced.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Append the figures of each run to this file too, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    trend: Option<PathBuf>,
}

/// Stores the figures of the runs.
pub(super) fn save(args: &Args, printer: Printer) -> anyhow::Result<()> {
    let runs = runs::figures_of(&args.runs)?;
    if let Some(trend) = &args.trend {
        runs::append(trend, &runs)?;
    }
    let baseline = Baseline::of(runs)?;
    runs::make_folder_of(&args.to)?;
    std::fs::write(&args.to, baseline.text())
        .with_context(|| format!("cannot write {}", args.to.display()))?;
    printer.data(&format!(
        "{}: {} of {} of {}",
        args.to.display(),
        plural(baseline.comparable().count() as u64, "figure"),
        plural(baseline.runs.len() as u64, "run"),
        baseline.scenario
    ));
    if let Some(too_few) = baseline.too_few() {
        printer.say(&format!("warning: {too_few}"));
    }
    Ok(())
}
