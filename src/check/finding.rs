use super::{CheckSpec, Evidence, Finding, Verdict};
use crate::event::Name;
use crate::units::Moment;

impl Finding {
    pub(super) fn new(spec: &CheckSpec, verdict: Verdict, summary: impl Into<String>) -> Self {
        Self {
            check: spec.name.clone(),
            kind: spec.kind.clone(),
            severity: spec.severity,
            verdict,
            summary: summary.into(),
            evidence: Vec::new(),
            figures: std::collections::BTreeMap::new(),
            notes: Vec::new(),
            help: None,
            lengths: Vec::new(),
            traces: Vec::new(),
        }
    }

    /// A finding without evidence either way.
    pub(super) fn inconclusive(
        spec: &CheckSpec,
        summary: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        let mut finding = Self::new(spec, Verdict::Inconclusive, summary);
        finding.help = Some(help.into());
        finding
    }

    /// The worst of several parts, with the summaries of all that share its verdict; everything
    /// else together.
    pub(super) fn worst_of(parts: Vec<Self>) -> Option<Self> {
        let mut parts = parts;
        parts.sort_by_key(|part| std::cmp::Reverse(part.verdict));
        let mut parts = parts.into_iter();
        let mut worst = parts.next()?;
        for part in parts {
            if part.verdict == worst.verdict {
                worst.summary = format!("{}; {}", worst.summary, part.summary);
            }
            worst.evidence.extend(part.evidence);
            worst.lengths.extend(part.lengths);
            worst.traces.extend(part.traces);
            for note in part.notes {
                worst.note(note);
            }
            for (name, value) in part.figures {
                // Of times and counts the largest is the one that matters.
                let largest = worst.figures.entry(name).or_insert(value);
                *largest = largest.max(value);
            }
        }
        Some(worst)
    }

    /// Takes the verdict and the summary from the worst evidence, and puts the worst first.
    /// Without evidence there is no pass.
    pub(super) fn decide(&mut self) {
        self.evidence
            .sort_by_key(|evidence| std::cmp::Reverse(evidence.verdict));
        let worst = self.evidence.first();
        self.verdict = worst.map_or(Verdict::Inconclusive, |evidence| evidence.verdict);
        let decisive = self.evidence.iter();
        let words: Vec<&str> = decisive
            .filter(|evidence| evidence.verdict == self.verdict)
            .map(|evidence| evidence.measured.as_str())
            .collect();
        self.summary = words.join("; ");
    }

    /// Leaves the verdict open, because of something that has to do with the whole of the evidence.
    pub(super) fn take_back(&mut self, why: &str, help: &str) {
        self.verdict = Verdict::Inconclusive;
        self.summary = format!("{why}; otherwise: {}", self.summary);
        self.help = Some(help.to_owned());
    }

    pub(super) fn figure(&mut self, name: impl Into<String>, value: f64) {
        self.figures.insert(name.into(), value);
    }

    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl Evidence {
    pub(super) fn new(
        verdict: Verdict,
        spec: &CheckSpec,
        key: &str,
        expected: impl Into<String>,
        measured: impl Into<String>,
    ) -> Self {
        Self {
            verdict,
            span: spec.source.of(key),
            expected: expected.into(),
            measured: measured.into(),
            window: None,
            samples: 0,
            sources: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// That it rests on the observations of these workloads and probes.
    #[must_use]
    pub(super) fn of<'a>(mut self, sources: impl IntoIterator<Item = &'a Name>) -> Self {
        self.sources = sources.into_iter().cloned().collect();
        self
    }

    #[must_use]
    pub(super) const fn over(mut self, window: (Moment, Moment), samples: u64) -> Self {
        self.window = Some(window);
        self.samples = samples;
        self
    }
}
