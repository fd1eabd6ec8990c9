//! What a verdict is about. Nothing passes if a fault that it is about touched too few: every check
//! is judged through [`About::judge`].

use super::exercise::{fewest, missing, victims};
use super::{CheckSpec, Evidence, Finding, History, Verdict, Window, advice};
use crate::event::Name;
use crate::units::Moment;

/// The faults that a verdict is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// Each of these, each time that it was in force: otherwise there is neither pass nor failure.
    Faults(Vec<Name>),
    /// Likewise, but each time is judged by itself: what failed after one that touched enough has
    /// failed.
    EachTime(Vec<Name>),
    /// Those that a window names, as [`About::Faults`], and for a pass those that began in it if it
    /// reaches over faults that it does not name.
    Window(Window),
    /// For a pass, whatever was in force in the run.
    Run,
    /// For a pass, one fault of the run at least.
    AnyFault,
}

impl About {
    /// What `judge` finds, and whom the faults touched; or that nothing follows from it.
    pub(super) fn judge(
        &self,
        spec: &CheckSpec,
        history: &History,
        judge: impl FnOnce() -> Finding,
    ) -> Finding {
        if let Some((fault, why)) = self.forbids(history) {
            return untouched(spec, history, &fault, why);
        }
        let mut finding = judge();
        if finding.verdict == Verdict::Pass
            && let Some((fault, why)) = self.doubts(history)
        {
            finding.summary = format!("{why}; otherwise: {}", finding.summary);
            let nothing = untouched(spec, history, &fault, why);
            finding.verdict = nothing.verdict;
            finding.evidence.splice(0..0, nothing.evidence);
            finding.help = nothing.help;
        }
        for fault in self.named() {
            finding.note(victims(history, fault));
        }
        finding
    }

    fn named(&self) -> Vec<&Name> {
        match self {
            Self::Faults(names) | Self::EachTime(names) => names.iter().collect(),
            Self::Window(window) => window.faults().collect(),
            Self::Run | Self::AnyFault => Vec::new(),
        }
    }

    /// The fault for which there is nothing to judge at all, and why.
    fn forbids(&self, history: &History) -> Option<(Name, String)> {
        let mut lacks = self.named().into_iter().map(|name| lack(history, name));
        if !matches!(self, Self::EachTime(_)) {
            return lacks.flatten().next();
        }
        let needed = |name: &Name| history.min_hits(name);
        let touched = self.named().into_iter().any(|name| {
            let mut times = history.fault(name).iter();
            times.any(|one| one.hits.len() as u64 >= needed(name))
        });
        (!touched).then(|| lacks.next()).flatten().flatten()
    }

    /// The fault that takes a pass back, and why.
    fn doubts(&self, history: &History) -> Option<(Name, String)> {
        let began = |from: Moment, to: Moment| {
            let mut began =
                (history.occurrences()).filter(|(_, one)| from <= one.inject && one.inject < to);
            began.find_map(|(name, one)| {
                let why = fewest(history, name, [one].into_iter())?;
                Some((name.clone(), why))
            })
        };
        match self {
            Self::Faults(_) => None,
            Self::EachTime(names) => names.iter().find_map(|name| lack(history, name)),
            Self::Window(window) => {
                let (from, to) = window.resolve(history).filter(|_| window.spans())?;
                began(from, to)
            }
            Self::Run => began(Moment::ZERO, history.end()),
            Self::AnyFault => {
                let faults = history.experiment().faults.iter();
                let lacks: Option<Vec<_>> =
                    faults.map(|fault| lack(history, &fault.name)).collect();
                lacks?.into_iter().next()
            }
        }
    }
}

fn lack(history: &History, fault: &Name) -> Option<(Name, String)> {
    missing(history, fault).map(|why| (fault.clone(), why))
}

/// The finding that nobody met a fault, and `why` nothing follows from it. It points at where the
/// check names the fault or its time.
fn untouched(spec: &CheckSpec, history: &History, fault: &Name, why: String) -> Finding {
    let mut finding = Finding::inconclusive(spec, &*why, advice::untouched(history, fault));
    let named = ["fault", "during"].into_iter();
    let mut named = named.filter(|key| spec.source.values.contains_key(*key));
    let key = named.next().unwrap_or_default();
    let expected = "a fault that touches somebody each time";
    let evidence = Evidence::new(Verdict::Inconclusive, spec, key, expected, why);
    finding.evidence.push(evidence);
    finding
}

#[cfg(test)]
mod tests;
