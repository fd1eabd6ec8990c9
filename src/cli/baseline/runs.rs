//! Finished runs and their figures, and the file that they are appended to.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::super::input;
use crate::check::baseline::{RunFigures, figures};
use crate::check::{Experiment, History};
use crate::report::{self, JOURNAL_FILE, Outcome};

/// The figures of every run in these folders, or of these journals. A folder without a journal
/// stands for all runs below it, as after `run --repeat`.
pub(super) fn figures_of(paths: &[PathBuf]) -> anyhow::Result<Vec<RunFigures>> {
    let mut runs = Vec::new();
    for path in paths {
        let found = journals(path).with_context(|| path.display().to_string())?;
        if found.is_empty() {
            bail!("{}: there is no run in it", path.display());
        }
        for run in found {
            runs.push(read(&run)?);
        }
    }
    Ok(runs)
}

/// Every journal below a folder, those of one folder in the order of their names.
fn journals(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let own = path.join(JOURNAL_FILE);
    if own.exists() {
        return Ok(vec![own]);
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            folders.push(entry.path());
        }
    }
    folders.sort();
    let mut found = Vec::new();
    for folder in folders {
        found.extend(journals(&folder)?);
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<RunFigures> {
    let (_, journal) = input::journal(path)?;
    let report = report::rebuild(journal.clone()).with_context(|| path.display().to_string())?;
    match report.outcome {
        Outcome::Recorded | Outcome::Passed | Outcome::Inconclusive | Outcome::Failed => {}
        early => bail!(
            "{}: the run did not go to its end ({}), so its figures say nothing",
            path.display(),
            early.word()
        ),
    }
    let header = journal.header;
    let experiment: Experiment = serde_json::from_value(header.plan)
        .with_context(|| format!("{}: its plan cannot be read", path.display()))?;
    Ok(RunFigures {
        run: header.run,
        started_at: header.started_at,
        scenario: header.scenario_path,
        machine: header.environment,
        figures: figures(&History::new(experiment, journal.events)),
    })
}

/// Makes the folder that a file is to be written into.
pub(super) fn make_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}

/// Appends a line of JSON for each run that `trend` does not hold yet. Nothing in it is ever
/// changed.
pub(super) fn append(trend: &Path, runs: &[RunFigures]) -> anyhow::Result<()> {
    let text = match fs::read_to_string(trend) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other,
    };
    let text = text.with_context(|| format!("cannot read {}", trend.display()))?;
    let mut known = HashSet::new();
    for (index, line) in text.lines().enumerate() {
        let run: RunFigures = serde_json::from_str(line)
            .with_context(|| format!("{}:{}: no line of a trend", trend.display(), index + 1))?;
        known.insert(run.run);
    }
    let mut lines = String::new();
    for run in runs.iter().filter(|run| !known.contains(&run.run)) {
        lines.push_str(&serde_json::to_string(run)?);
        lines.push('\n');
    }
    make_folder_of(trend)?;
    let mut options = OpenOptions::new();
    options
        .append(true)
        .create(true)
        .open(trend)
        .and_then(|mut file| file.write_all(lines.as_bytes()))
        .with_context(|| format!("cannot write {}", trend.display()))
}
