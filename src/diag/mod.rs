//! Diagnostics: what is wrong, where, and what to do about it.
//!
//! A mistake in a scenario file and a failed check are the same kind of thing: a message that
//! points into the file. This module describes and renders them; it never decides anything.

mod annotation;
mod render;
mod suggest;

pub use annotation::{annotation, annotations};
pub use render::{Style, render, summary};
pub use suggest::did_you_mean;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A range of bytes in a source text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self {
            start: range.start,
            end: range.end,
        }
    }
}

/// A text that diagnostics point into.
#[derive(Debug, Clone)]
pub struct Source {
    /// How the file is called towards people, usually its path as given.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
}

impl Source {
    /// The 1-based line and column (in characters) of the byte at `offset`.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(offset.min(self.text.len()))];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (
            before.matches('\n').count() + 1,
            before[line_start..].chars().count() + 1,
        )
    }
}

/// How grave a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is refused.
    Warning,
    /// The input cannot be used, or a check failed.
    Error,
}

/// A marked place with a short text under the underline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The text beside the underline; may be empty.
    pub text: String,
}

/// One message for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// Where; `None` if it concerns the whole file.
    pub primary: Option<Label>,
    /// Other places that explain it.
    pub related: Vec<Label>,
    /// Facts, each shown as `= note:`-like line.
    pub notes: Vec<String>,
    /// What to do, shown as `= help:`.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at a place.
    pub fn error(span: Span, message: impl Into<String>, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            primary: Some(Label {
                span,
                text: label.into(),
            }),
            related: Vec::new(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// Whether it is at least as grave as `other`, about the same place.
    pub fn covers(&self, other: &Self) -> bool {
        let place = |one: &Self| one.primary.as_ref().map(|label| label.span);
        self.severity >= other.severity && place(self).is_some() && place(self) == place(other)
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label {
            span,
            text: text.into(),
        });
        self
    }
}
