//! Several runs as one result: files one after another, repetitions, tries.

mod annotations;
mod flaky;
mod junit;
mod markdown;
mod text;

pub use annotations::annotations;
pub use flaky::Flaky;
pub use junit::junit;
pub use markdown::markdown;
pub use text::text;

use std::path::PathBuf;

use super::{CheckRecord, CheckVerdict, Outcome, Report};
use crate::check::Severity;

/// One finished run.
#[derive(Debug, Clone)]
pub struct Run {
    /// What it came to.
    pub report: Report,
    /// The scenario's text.
    pub scenario: String,
    /// Where its journal and reports are.
    pub folder: PathBuf,
}

impl Run {
    /// The checks of severity error that came to `verdict`.
    fn checks(&self, verdict: CheckVerdict) -> impl Iterator<Item = &CheckRecord> {
        let checks = self.report.checks.iter();
        checks.filter(move |check| check.severity == Severity::Error && check.verdict == verdict)
    }
}

/// A run and, if it was inconclusive and tried again, the tries after it. The last one counts.
#[derive(Debug, Clone)]
pub struct Repetition {
    superseded: Vec<Run>,
    counted: Run,
}

impl Repetition {
    /// A repetition whose first try this is.
    pub const fn new(first: Run) -> Self {
        Self {
            superseded: Vec::new(),
            counted: first,
        }
    }

    /// Takes the next try.
    pub fn try_again(&mut self, next: Run) {
        let before = std::mem::replace(&mut self.counted, next);
        self.superseded.push(before);
    }

    /// The try that counts.
    pub const fn counted(&self) -> &Run {
        &self.counted
    }
}

/// Whether a run weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weight {
    Counts,
    Superseded,
}

/// All runs of one scenario file.
#[derive(Debug, Clone)]
pub struct Series {
    /// The file, as given.
    pub path: String,
    /// Its repetitions, in their order; none if it was not run.
    pub repetitions: Vec<Repetition>,
    /// Why chaosproxy itself could not go on with it.
    pub error: Option<String>,
}

/// What a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Something before it ended the suite.
    NotRun,
    /// Checks passed and failed in equal runs, and that is the worst of it.
    Flaky,
    /// The gravest outcome of its runs.
    Came(Outcome),
}

impl Conclusion {
    /// The words for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotRun => "not run",
            Self::Flaky => "flaky",
            Self::Came(outcome) => outcome.word(),
        }
    }

    /// The outcome that weighs as much; `None` if it weighs nothing.
    const fn outcome(self) -> Option<Outcome> {
        match self {
            Self::NotRun => None,
            Self::Flaky => Some(Outcome::Failed),
            Self::Came(outcome) => Some(outcome),
        }
    }
}

impl Series {
    /// A file that has not been run yet.
    pub const fn new(path: String) -> Self {
        Self {
            path,
            repetitions: Vec::new(),
            error: None,
        }
    }

    /// What the file came to: its gravest run, or that it is flaky.
    pub fn conclusion(&self) -> Conclusion {
        if self.error.is_some() {
            return Conclusion::Came(Outcome::Error);
        }
        let Some(gravest) = self.gravest() else {
            return Conclusion::NotRun;
        };
        let outcome = gravest.report.outcome;
        let mut flaky = self.flaky();
        flaky.retain(|one| one.severity == Severity::Error);
        let is_flaky = |check: &CheckRecord| flaky.iter().any(|one| one.check == check.name);
        let mut failed = self
            .counted()
            .flat_map(|run| run.checks(CheckVerdict::Fail));
        if outcome <= Outcome::Failed && !flaky.is_empty() && failed.all(is_flaky) {
            Conclusion::Flaky
        } else {
            Conclusion::Came(outcome)
        }
    }

    /// The exit code that [`Self::conclusion`] stands for.
    pub fn exit_code(&self) -> u8 {
        match (self.conclusion(), self.gravest()) {
            (Conclusion::NotRun, _) => 0,
            (Conclusion::Flaky, _) => 1,
            (Conclusion::Came(_), Some(run)) if self.error.is_none() => run.report.exit_code,
            (Conclusion::Came(_), _) => 70,
        }
    }

    /// The checks that passed in one run and failed in another.
    pub fn flaky(&self) -> Vec<Flaky> {
        flaky::find(self.counted())
    }

    fn counted(&self) -> impl Iterator<Item = &Run> {
        self.repetitions.iter().map(Repetition::counted)
    }

    /// Of equals the first.
    fn gravest(&self) -> Option<&Run> {
        let mut gravest = None::<&Run>;
        for run in self.counted() {
            if gravest.is_none_or(|known| run.report.outcome > known.report.outcome) {
                gravest = Some(run);
            }
        }
        gravest
    }

    /// Every run with what tells it from the others of the file: `2/3`, `2/3 try 1`, `try 1`.
    fn runs(&self) -> impl Iterator<Item = (String, Weight, &Run)> {
        let count = self.repetitions.len();
        let repetitions = self.repetitions.iter().enumerate();
        repetitions.flat_map(move |(index, repetition)| {
            let tries = repetition.superseded.len();
            let superseded = repetition.superseded.iter();
            let superseded = superseded.map(|run| (Weight::Superseded, run));
            let counted = (Weight::Counts, &repetition.counted);
            let all = superseded.chain([counted]).enumerate();
            all.map(move |(number, (weight, run))| {
                let mut words = Vec::new();
                words.extend((count > 1).then(|| format!("{}/{count}", index + 1)));
                words.extend((tries > 0).then(|| format!("try {}", number + 1)));
                (words.join(" "), weight, run)
            })
        })
    }
}

/// The result of one `chaosproxy run`.
#[derive(Debug, Clone, Default)]
pub struct Suite {
    /// Its files, in the order given.
    pub series: Vec<Series>,
}

impl Suite {
    /// The gravest conclusion of its files; of equals the first.
    fn gravest(&self) -> Option<&Series> {
        let mut gravest = None::<&Series>;
        for series in &self.series {
            let outcome = series.conclusion().outcome();
            if gravest.is_none_or(|known| outcome > known.conclusion().outcome()) {
                gravest = Some(series);
            }
        }
        gravest
    }

    /// The exit code: 70, then 129, 130 or 143, 5, 1, 3, 4, 0. A found weakness weighs more than an
    /// experiment that never began, and that more than one that says too little.
    pub fn exit_code(&self) -> u8 {
        self.gravest().map_or(0, Series::exit_code)
    }

    /// What the whole came to.
    fn conclusion(&self) -> Conclusion {
        self.gravest()
            .map_or(Conclusion::NotRun, Series::conclusion)
    }
}

#[cfg(test)]
mod tests;
