use super::Run;
use crate::check::Severity;
use crate::event::Name;
use crate::report::CheckVerdict;

/// A check that passed and failed in equal runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaky {
    /// The check.
    pub check: Name,
    /// Whether it fails the suite.
    pub severity: Severity,
    /// How often it came to what.
    pub verdicts: Vec<(CheckVerdict, usize)>,
}

impl Flaky {
    /// `2 pass, 1 fail`.
    pub fn tally(&self) -> String {
        let parts = self.verdicts.iter();
        let parts: Vec<_> = parts
            .map(|(verdict, count)| format!("{count} {}", verdict.word()))
            .collect();
        parts.join(", ")
    }
}

/// The checks that passed in some of the `runs` and failed in others. One that is inconclusive says
/// nothing against either, and one that was cut short has no verdict.
pub(super) fn find<'a>(runs: impl Iterator<Item = &'a Run>) -> Vec<Flaky> {
    let mut seen: Vec<Flaky> = Vec::new();
    for check in runs.flat_map(|run| &run.report.checks) {
        if check.verdict == CheckVerdict::Aborted {
            continue;
        }
        let known = seen.iter().position(|one| one.check == check.name);
        let index = known.unwrap_or_else(|| {
            seen.push(Flaky {
                check: check.name.clone(),
                severity: check.severity,
                verdicts: Vec::new(),
            });
            seen.len() - 1
        });
        count(&mut seen[index].verdicts, check.verdict);
    }
    seen.retain(|one| {
        let came_to = |wanted| one.verdicts.iter().any(|(verdict, _)| *verdict == wanted);
        came_to(CheckVerdict::Pass) && came_to(CheckVerdict::Fail)
    });
    seen
}

fn count(tally: &mut Vec<(CheckVerdict, usize)>, verdict: CheckVerdict) {
    match tally.iter_mut().find(|(known, _)| *known == verdict) {
        Some((_, count)) => *count += 1,
        None => tally.push((verdict, 1)),
    }
}
