//! Reports: a finished run as people and machines read it.
//!
//! [`build()`] is a pure function of the journal, and every rendering is a pure function of the
//! [`Report`] and the scenario's text. So a report can be made again from the journal alone, and
//! all forms of it agree. Nothing here judges: verdicts come from [`crate::check`].

mod build;
mod course;
mod diagnostics;
mod dials;
mod ended;
mod faults;
mod held;
mod html;
mod junit;
mod model;
mod outcome;
mod recheck;
pub mod suite;
mod svg;
mod text;
mod traffic;
mod write;

pub use build::{build, rebuild};
pub use course::{Attempts, Bin, Course, Entry, EventLog, Job, Series, Wait};
pub use diagnostics::diagnostics;
pub use dials::unreached;
pub use html::html;
pub use junit::junit;
pub use model::check::{
    CheckRecord, CheckVerdict, EvidenceRecord, LengthRecord, SweepRecord, SweptLengthRecord,
};
pub use model::fault::{EdgeRecord, FaultRecord, OccurrenceRecord};
pub use model::traffic::{
    HeldRecord, ProxyRecord, ProxyTotals, ProxyWindow, SourceRecord, SourceWindow, SpreadRecord,
};
pub use model::{ConditionRecord, Place, REPORT_FORMAT, Report, ScenarioRecord, SteadyStateRecord};
pub use outcome::Outcome;
pub use text::text;
pub use write::{HTML_FILE, JOURNAL_FILE, JSON_FILE, JUNIT_FILE, ReportError, write};

/// The report as `report.json` holds it, ending with a line feed.
pub fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report)
        .expect("a report has only texts, numbers and text keys");
    text.push('\n');
    text
}

/// The JSON Schema of `report.json`.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}
