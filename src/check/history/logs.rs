//! What services logged, and what of it was not seen.

use std::collections::BTreeMap;

use super::History;
use crate::check::show;
use crate::event::{LogGap, Name};
use crate::units::Moment;

/// A line that a service logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was read.
    pub at: Moment,
    /// The line, cut at 4,096 bytes.
    pub text: String,
    /// Whether it was longer.
    pub cut: bool,
}

/// The logs of all services.
#[derive(Debug, Default)]
pub(super) struct Logs {
    pub(super) lines: BTreeMap<Name, Vec<LogLine>>,
    pub(super) gaps: BTreeMap<Name, Vec<LogGap>>,
}

impl History {
    /// The lines that a service logged.
    pub fn logs(&self, service: &str) -> &[LogLine] {
        let lines = &self.facts.logs.lines;
        lines.get(service).map_or(&[], Vec::as_slice)
    }

    /// Why a service may have logged more lines in a window than were seen, if it may.
    pub fn lines_missing(&self, service: &str, (from, to): (Moment, Moment)) -> Option<String> {
        if let Some(early) = self.ended_early().filter(|early| *early <= to) {
            let when = show::seconds(early.seconds_from(self.time_zero()));
            return Some(format!("the run ended at {when}"));
        }
        let within = |gap: &&LogGap| gap.from < to && gap.until.is_none_or(|until| until >= from);
        let gap = self.facts.logs.gaps.get(service)?.iter().find(within)?;
        let when = show::seconds(gap.from.seconds_from(self.time_zero()));
        let why = &gap.why;
        Some(match gap.until {
            None => format!("the log was not seen from {when} on: {why}"),
            Some(_) => format!("part of the log was not seen at {when}: {why}"),
        })
    }

    /// Why a text may stand in the log of a service in a window although no line shows it, if it
    /// may: lines are missing, or the ends of lines.
    pub fn text_missing(&self, service: &str, window: (Moment, Moment)) -> Option<String> {
        self.lines_missing(service, window).or_else(|| {
            let mut lines = self.logs(service).iter();
            let cut = lines.find(|line| line.cut && window.0 <= line.at && line.at < window.1)?;
            let when = show::seconds(cut.at.seconds_from(self.time_zero()));
            Some(format!("the end of a line was not seen at {when}"))
        })
    }
}
