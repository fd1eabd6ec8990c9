use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Figures;
use super::compare::NEEDED;

/// The version of the file's format; readers refuse others.
const BASELINE_FORMAT: u32 = 1;

/// A machine, as a run describes it: kernel, cores and so on.
pub type Machine = BTreeMap<String, String>;

/// What of a machine must be the same for its times to be compared.
const DECISIVE: [&str; 3] = ["os", "arch", "cores"];

/// The figures of one run: a line of a trend file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFigures {
    /// The run.
    pub run: uuid::Uuid,
    /// When it began.
    pub started_at: jiff::Timestamp,
    /// Path of its scenario, as given.
    pub scenario: String,
    /// Where it ran.
    pub machine: Machine,
    /// What was measured.
    pub figures: Figures,
}

/// The figures of several runs of one scenario on one machine.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// [`BASELINE_FORMAT`].
    #[serde(rename = "baseline_format")]
    format: u32,
    /// Path of the scenario, as given.
    pub scenario: String,
    /// Where the runs were.
    pub machine: Machine,
    /// When each run began.
    pub runs: Vec<jiff::Timestamp>,
    /// Each figure with its value in each run; `None` where it was not measured.
    pub figures: BTreeMap<String, Vec<Option<f64>>>,
}

/// Why there is no baseline.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The text is not what such a file holds.
    #[error("not a baseline: {0}")]
    Malformed(serde_json::Error),
    /// The file has another format.
    #[error("baseline format {0}, this program reads format {BASELINE_FORMAT}")]
    Format(u32),
    /// Nothing to make one of.
    #[error("there is no run to make a baseline of")]
    NoRun,
    /// The runs do not belong together.
    #[error("the runs are of several scenarios ({0}); a baseline is of one")]
    Scenarios(String),
    /// Times of different machines say nothing together.
    #[error("the runs are of several machines ({0}); a baseline is of one")]
    Machines(String),
}

impl Baseline {
    /// Gathers runs of one scenario on one machine, the oldest first.
    pub fn of(mut runs: Vec<RunFigures>) -> Result<Self, BaselineError> {
        runs.sort_by_key(|run| run.started_at);
        let Some(first) = runs.first() else {
            return Err(BaselineError::NoRun);
        };
        for run in &runs {
            if run.scenario != first.scenario {
                let both = format!("{}, {}", first.scenario, run.scenario);
                return Err(BaselineError::Scenarios(both));
            }
            if let Some(how) = difference(&first.machine, &run.machine) {
                return Err(BaselineError::Machines(how));
            }
        }
        let names: BTreeSet<&String> = runs.iter().flat_map(|run| run.figures.keys()).collect();
        let figures = names.into_iter().map(|name| {
            let values = runs.iter().map(|run| run.figures.get(name).copied());
            (name.clone(), values.collect())
        });
        Ok(Self {
            format: BASELINE_FORMAT,
            scenario: first.scenario.clone(),
            machine: first.machine.clone(),
            runs: runs.iter().map(|run| run.started_at).collect(),
            figures: figures.collect(),
        })
    }

    /// Reads the text of a file.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        /// Only what decides whether the rest can be read.
        #[derive(Deserialize)]
        struct Format {
            baseline_format: u32,
        }
        let format: Format = serde_json::from_str(text).map_err(BaselineError::Malformed)?;
        if format.baseline_format != BASELINE_FORMAT {
            return Err(BaselineError::Format(format.baseline_format));
        }
        serde_json::from_str(text).map_err(BaselineError::Malformed)
    }

    /// The text of a file: JSON with a line for each figure, so that a change of one is a change of
    /// one line.
    pub fn text(&self) -> String {
        let mut text = String::from("{\n");
        for (key, value) in [
            ("baseline_format", json!(self.format)),
            ("scenario", json!(self.scenario)),
            ("machine", json!(self.machine)),
            ("runs", json!(self.runs)),
        ] {
            line(&mut text, format_args!("  \"{key}\": {value},\n"));
        }
        text.push_str("  \"figures\": {");
        let mut comma = "\n";
        for (name, values) in &self.figures {
            line(
                &mut text,
                format_args!("{comma}    {}: {}", json!(name), json!(values)),
            );
            comma = ",\n";
        }
        text.push_str("\n  }\n}\n");
        text
    }

    /// What is missing for later runs to be compared with these, if anything.
    pub fn too_few(&self) -> Option<String> {
        let runs = self.runs.len();
        (runs < NEEDED).then(|| {
            format!(
                "from {runs} of {NEEDED} runs nobody can tell how far runs differ by themselves; \
                 `run --repeat 5` makes five"
            )
        })
    }

    /// How `here` differs from the machine of the baseline, if that keeps times from being
    /// compared.
    pub fn elsewhere(&self, here: &Machine) -> Option<String> {
        difference(&self.machine, here)
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a string cannot fail");
}

/// `cores 8 and 2`.
fn difference(one: &Machine, other: &Machine) -> Option<String> {
    let value = |machine: &Machine, key: &str| {
        let value = machine.get(key).map(String::as_str);
        value.unwrap_or("unknown").to_owned()
    };
    DECISIVE.into_iter().find_map(|key| {
        let (one, other) = (value(one, key), value(other, key));
        (one != other).then(|| format!("{key} {one} and {other}"))
    })
}
