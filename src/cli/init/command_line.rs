//! Mistakes of a scenario that was made from arguments, shown in the arguments.

use super::write::quoted;
use super::{Args, HEALTH};
use crate::diag::{Diagnostic, Label, Source, Span};

/// The command line, with the places of what stands in the scenario as it was given.
pub(super) struct CommandLine {
    text: String,
    values: Vec<Span>,
}

impl CommandLine {
    pub(super) fn new(args: &Args) -> Self {
        let mut line = Self {
            text: "chaosproxy init".to_owned(),
            values: Vec::new(),
        };
        for service in &args.services {
            line.value(" --service ", &service.name);
            line.value("=", &service.url);
        }
        if let Some(url) = &args.database {
            line.value(" --database ", url);
        }
        if args.health != HEALTH {
            line.value(" --health ", &args.health);
        }
        if let Some(template) = &args.template {
            line.value(" --template ", template);
        }
        line
    }

    fn value(&mut self, before: &str, value: &str) {
        self.text.push_str(before);
        let start = self.text.len();
        self.text.push_str(value);
        self.values.push((start..self.text.len()).into());
    }

    /// What diagnostics of [`Self::blamed`] point into.
    pub(super) fn source(&self) -> Source {
        Source {
            name: "command line".to_owned(),
            text: self.text.as_str().into(),
        }
    }

    /// Those mistakes of `scenario` that are an argument's, one for each argument; others follow
    /// from them.
    pub(super) fn blamed(&self, found: &[Diagnostic], scenario: &str) -> Vec<Diagnostic> {
        let mut blamed: Vec<Diagnostic> = Vec::new();
        for moved in found.iter().filter_map(|one| self.moved(one, scenario)) {
            if !blamed.iter().any(|known| known.covers(&moved)) {
                blamed.push(moved);
            }
        }
        blamed
    }

    /// The same mistake at the argument. Of equal ones the last is to blame, for not being
    /// different from the first.
    fn moved(&self, mistake: &Diagnostic, scenario: &str) -> Option<Diagnostic> {
        let primary = mistake.primary.as_ref()?;
        let written = scenario.get(primary.span.start..primary.span.end)?;
        let is_it = |span: &&Span| quoted(&self.text[span.start..span.end]) == written;
        let mut places = self.values.iter().filter(is_it);
        let last = *places.next_back()?;
        let at = |span, label: &Label| Label {
            span,
            text: label.text.clone(),
        };
        let first = places.next().zip(mistake.related.first());
        Some(Diagnostic {
            primary: Some(at(last, primary)),
            related: first
                .map(|(span, label)| at(*span, label))
                .into_iter()
                .collect(),
            ..mistake.clone()
        })
    }
}
