use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::runs;
use crate::check::Verdict;
use crate::check::baseline::{
    Baseline, Change, Figure, Figures, RunFigures, Tolerance, is_comparable,
};
use crate::cli::input;
use crate::cli::output::Printer;
use crate::diag::did_you_mean;
use crate::report::CheckVerdict;
use crate::units::{Period, Share};

/// Arguments of `chaosproxy baseline compare`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folders of runs, or folders of such folders; the more runs, the surer the verdict.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The file that `baseline save` made.
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// Compare this figure; may be given several times. Default: every figure that is stored.
    #[arg(long = "figure", value_name = "NAME")]
    figures: Vec<Figure>,
    /// How much worse a figure may be.
    #[arg(
        long,
        value_name = "SHARE",
        default_value = "10%",
        env = "CHAOSPROXY_THRESHOLD",
        value_parser = input::quantity::<Share>
    )]
    threshold: Share,
    /// A change of a time that is too small to matter.
    #[arg(long, value_name = "TIME", default_value = "5ms")]
    #[arg(value_parser = input::quantity::<Period>)]
    floor: Period,
    /// Divide each figure by this one of its own run, so that the speed of the machine cancels out.
    #[arg(long, value_name = "NAME")]
    relative_to: Option<Figure>,
    /// Append the figures of each run to this file, a line of JSON each.
    #[arg(long, value_name = "FILE")]
    trend: Option<PathBuf>,
}

/// Compares, tells what became of each figure, and gives the exit code.
pub(super) fn compare(args: &Args, printer: Printer) -> anyhow::Result<u8> {
    let runs = runs::figures_of(&args.runs)?;
    if let Some(trend) = &args.trend {
        runs::append(trend, &runs)?;
    }
    let path = args.with.display();
    let text = match fs::read_to_string(&args.with) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            printer.data(&format!(
                "inconclusive: there is no baseline {path}\n  help: make one from runs that are as \
                 they should be: chaosproxy baseline save DIR --to {path}"
            ));
            return Ok(exit_code(Verdict::Inconclusive));
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
    };
    let stored = Baseline::parse(&text).with_context(|| path.to_string())?;
    comparable(&stored, &runs)?;
    known(args, &stored, &runs)?;
    let elsewhere = runs.iter().find_map(|run| stored.elsewhere(&run.machine));
    if let Some(how) = elsewhere.filter(|_| args.relative_to.is_none()) {
        printer.data(&format!(
            "inconclusive: {path} was made on another machine: {how}\n  help: give --relative-to a \
             figure that depends on the machine alone, or make a baseline on this machine"
        ));
        return Ok(exit_code(Verdict::Inconclusive));
    }
    let changes = changes(args, &stored, runs);
    let worst = changes.iter().map(|(_, change)| change.verdict).max();
    let worst = worst.unwrap_or(Verdict::Inconclusive);
    printer.data(&rendered(&changes, worst, args.threshold));
    Ok(exit_code(worst))
}

fn comparable(stored: &Baseline, runs: &[RunFigures]) -> anyhow::Result<()> {
    match runs.iter().find(|run| run.scenario != stored.scenario) {
        Some(run) => bail!(
            "the baseline is of {}, the run of {}; runs of one scenario can be compared",
            stored.scenario,
            run.scenario
        ),
        None => Ok(()),
    }
}

/// Refuses names that neither the baseline nor any of the runs has a figure of.
fn known(args: &Args, stored: &Baseline, runs: &[RunFigures]) -> anyhow::Result<()> {
    let now = runs.iter().flat_map(|run| run.figures.keys());
    let held: BTreeSet<&str> = now
        .chain(stored.figures.keys())
        .map(|name| &**name)
        .filter(|name| is_comparable(name))
        .collect();
    let mut asked = args.figures.iter().chain(&args.relative_to);
    match asked.find(|figure| !held.contains(&*figure.to_string())) {
        Some(figure) => bail!("{}", unknown(figure, &held)),
        None => Ok(()),
    }
}

/// What to tell of a name that nothing has: what is near it, and what there is.
fn unknown(figure: &Figure, held: &BTreeSet<&str>) -> String {
    let Figure {
        owner,
        what,
        window,
    } = figure;
    let beginning = match window {
        Some(_) => format!("{owner}.{what}@"),
        None => format!("{owner}."),
    };
    let alike =
        |name: &&str| name.starts_with(&beginning) && name.contains('@') == window.is_some();
    let mut known: Vec<_> = held.iter().copied().filter(alike).collect();
    if known.is_empty() {
        known = held
            .iter()
            .copied()
            .filter(|name| !name.contains('@'))
            .collect();
    }
    let (name, known) = (figure.to_string(), known.join(", "));
    match did_you_mean(&name, held.iter().copied()) {
        Some(near) => format!("unknown figure `{name}`; did you mean `{near}`? Known are {known}"),
        None => format!("unknown figure `{name}`; known are {known}"),
    }
}

fn changes(args: &Args, stored: &Baseline, runs: Vec<RunFigures>) -> Vec<(String, Change)> {
    let names: BTreeSet<String> = if args.figures.is_empty() {
        stored.comparable().cloned().collect()
    } else {
        args.figures.iter().map(ToString::to_string).collect()
    };
    let tolerance = Tolerance {
        threshold: args.threshold.fraction(),
        floor: args.floor.get(),
        relative_to: args.relative_to.as_ref().map(ToString::to_string),
        figures: names.len(),
    };
    let now: Vec<Figures> = runs.into_iter().map(|run| run.figures).collect();
    let change = |name: String| {
        let change = stored.compare(&name, &now, &tolerance);
        (name, change)
    };
    names.into_iter().map(change).collect()
}

/// A line for each figure, the worst first, and one for all.
fn rendered(changes: &[(String, Change)], worst: Verdict, threshold: Share) -> String {
    let mut sorted: Vec<&Change> = changes.iter().map(|(_, change)| change).collect();
    sorted.sort_by_key(|change| std::cmp::Reverse(change.verdict));
    let mut lines: Vec<String> = sorted
        .into_iter()
        .map(|change| {
            let symbol = CheckVerdict::from(change.verdict).symbol();
            format!("{symbol} {}", change.measured)
        })
        .collect();
    let count = |verdict| {
        let found = changes
            .iter()
            .filter(|(_, change)| change.verdict == verdict);
        found.count()
    };
    lines.push(format!(
        "{}: {} of {} figures at most {threshold} worse, {} worse, {} undecided",
        CheckVerdict::from(worst).word(),
        count(Verdict::Pass),
        changes.len(),
        count(Verdict::Fail),
        count(Verdict::Inconclusive)
    ));
    lines.join("\n")
}

/// As for a run with one check of this verdict.
const fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Pass => 0,
        Verdict::Fail => 1,
        Verdict::Inconclusive => 4,
    }
}
