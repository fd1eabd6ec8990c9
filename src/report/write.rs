use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Report, html, json, junit};

/// The journal's name in a report's folder.
pub const JOURNAL_FILE: &str = "journal.jsonl";
/// The report's name in its folder.
pub const JSON_FILE: &str = "report.json";
/// The name of the report for test tools.
pub const JUNIT_FILE: &str = "junit.xml";

/// The name of the report for people.
pub const HTML_FILE: &str = "report.html";

/// Why a report could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file system refused.
    #[error("{path}: {why}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The journal's header holds a plan that this version does not know.
    #[error("the journal's plan cannot be read: {0}")]
    Plan(serde_json::Error),
}

/// Writes every form of the report into `dir`, which is made if it is not there. Each file appears
/// whole or not at all.
pub fn write(report: &Report, scenario_text: &str, dir: &Path) -> Result<(), ReportError> {
    fs::create_dir_all(dir).map_err(|source| io(dir, source))?;
    replace(&dir.join(JSON_FILE), &json(report))?;
    replace(&dir.join(JUNIT_FILE), &junit(report, scenario_text))?;
    replace(&dir.join(HTML_FILE), &html(report, scenario_text))
}

/// Writes beside the file, then renames.
fn replace(path: &Path, text: &str) -> Result<(), ReportError> {
    let beside = path.with_extension("partial");
    let written = fs::File::create(&beside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&beside, path));
    written.map_err(|source| {
        // What could not be written whole is not left half; the first error is the one to tell.
        drop(fs::remove_file(&beside));
        io(path, source)
    })
}

fn io(path: &Path, why: std::io::Error) -> ReportError {
    ReportError::Io {
        path: path.to_owned(),
        why,
    }
}
