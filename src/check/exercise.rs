//! Whether a run gave a check something to judge: faults that touched somebody, a machine that had
//! time to measure.

use std::time::Duration;

use super::{CheckSpec, Evidence, Finding, History, Occurrence, Verdict, Window, show};
use crate::event::Name;
use crate::units::{Moment, Period, Share};

/// Why a fault proves nothing: it never happened, or it touched too few connections. Each time
/// that it was in force must have touched enough.
pub(super) fn missing(history: &History, fault: &str) -> Option<String> {
    let occurrences = history.fault(fault);
    if occurrences.is_empty() {
        return Some(format!("fault `{fault}` never happened"));
    }
    fewest(history, fault, occurrences.iter())
}

/// That one of these occurrences touched too few, if one did.
fn fewest<'a>(
    history: &History,
    fault: &str,
    occurrences: impl Iterator<Item = &'a Occurrence>,
) -> Option<String> {
    let fewest = occurrences.map(|one| one.hits.len() as u64).min()?;
    let needed = history.min_hits(fault);
    (fewest < needed).then(|| {
        format!(
            "fault `{fault}` touched {}, at least {needed} needed",
            show::plural(fewest, "connection")
        )
    })
}

/// The first of several faults that proves nothing, see [`missing`].
pub(super) fn any_missing<'a>(
    history: &History,
    faults: impl IntoIterator<Item = &'a Name>,
) -> Option<String> {
    faults.into_iter().find_map(|fault| missing(history, fault))
}

/// What `judge` finds in the time that `during` names, and whom its faults touched; or that there
/// is nothing to look at, because such a fault proved nothing or the run never came so far.
pub(super) fn over(
    during: &Window,
    spec: &CheckSpec,
    history: &History,
    judge: impl FnOnce((Moment, Moment)) -> Finding,
) -> Finding {
    if let Some(why) = any_missing(history, during.faults()) {
        return untouched(spec, why);
    }
    let Some(window) = during.resolve(history) else {
        let why = format!("the window `{during}` never was");
        return Finding::inconclusive(spec, why, "choose a window that the run reaches");
    };
    let mut finding = judge(window);
    if finding.verdict == Verdict::Pass && during.spans() {
        doubt(&mut finding, spec, history, window);
    }
    for fault in during.faults() {
        finding.note(victims(history, fault));
    }
    finding
}

/// Takes a pass back if a fault that began in `window` touched too few: nothing was withstood. What
/// fails all the same, fails.
fn doubt(finding: &mut Finding, spec: &CheckSpec, history: &History, window: (Moment, Moment)) {
    let began = history
        .occurrences()
        .filter(|(_, one)| window.0 <= one.inject && one.inject < window.1);
    let mut whys = began.filter_map(|(fault, one)| fewest(history, fault, [one].into_iter()));
    if let Some(why) = whys.next() {
        finding.summary = format!("{why}; otherwise: {}", finding.summary);
        let nothing = untouched(spec, why);
        finding.verdict = nothing.verdict;
        finding.evidence.splice(0..0, nothing.evidence);
        finding.help = nothing.help;
    }
}

/// The finding that nobody met a fault, and `why` nothing follows from it. It points at where the
/// check names the fault or its time.
pub(super) fn untouched(spec: &CheckSpec, why: String) -> Finding {
    let mut finding = Finding::inconclusive(spec, &*why, NO_VICTIMS);
    let named = ["fault", "during"].into_iter();
    let mut named = named.filter(|key| spec.source.values.contains_key(*key));
    let key = named.next().unwrap_or_default();
    let expected = "a fault that touches somebody each time";
    let evidence = Evidence::new(Verdict::Inconclusive, spec, key, expected, why);
    finding.evidence.push(evidence);
    finding
}

/// `fault exercised: 23 victims of ...`, for the notes of a finding.
pub(super) fn victims(history: &History, fault: &str) -> String {
    let hits = history.fault(fault).iter().map(|one| one.hits.len() as u64);
    match hits.sum() {
        0 => format!("fault `{fault}` touched nobody"),
        hits => format!(
            "fault `{fault}` exercised: {}",
            show::plural(hits, "victim")
        ),
    }
}

/// The advice for a fault that touched nothing. That the service goes past the proxy is by far the
/// most common reason.
pub(super) const NO_VICTIMS: &str = "see that the service connects to the address of the proxy, \
     not past it to the upstream, and that something is asked of it while the fault is in force";

/// The advice for a log that was not seen whole.
pub(super) const UNREAD: &str = "see that the whole log is read: what brings it must run as long as \
     the run does, and lines of more than 4096 bytes or more than 2000 in a second are not recorded \
     whole";

/// What a machine may do for latencies to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) max_busy: Share,
    pub(super) max_lateness: Duration,
}

/// How busy the machine may be by default.
pub fn max_busy() -> Share {
    Share::from_fraction(0.95).unwrap_or(Share::ALL)
}

/// How late observations may be sent by default, at the 99th percentile.
pub(super) const fn max_lateness() -> Period {
    Period::from_millis(5)
}

impl Patience {
    /// Why latencies of `source` measured in `window` say more about the machine than about the
    /// service, if they do.
    pub(super) fn exceeded(
        self,
        history: &History,
        source: &str,
        window: (Moment, Moment),
    ) -> Option<String> {
        if let Some(why) = starved(history, self.max_busy, window) {
            return Some(why);
        }
        let late = history.lateness(source, window)?;
        (late > self.max_lateness).then(|| {
            format!(
                "`{source}` was sent {} late at the 99th percentile",
                show::time(late)
            )
        })
    }
}

/// That the machine was busier than it may be, if it was.
pub fn starved(history: &History, max_busy: Share, window: (Moment, Moment)) -> Option<String> {
    let busy = history.busy(window)?;
    (busy > max_busy.fraction()).then(|| format!("the machine was {} busy", show::percent(busy)))
}

/// Takes a failure back if the machine was starved in `window`: it may have been the machine's.
pub(super) fn excuse(
    finding: &mut Finding,
    history: &History,
    max_busy: Share,
    window: (Moment, Moment),
) {
    if finding.verdict != Verdict::Fail {
        return;
    }
    let Some(why) = starved(history, max_busy, window) else {
        return;
    };
    finding.verdict = Verdict::Inconclusive;
    finding.summary = format!("{}, but {why}", finding.summary);
    finding.help = Some(STARVED.to_owned());
    let failed = finding.evidence.iter_mut();
    for evidence in failed.filter(|evidence| evidence.verdict == Verdict::Fail) {
        evidence.verdict = Verdict::Inconclusive;
        evidence.measured = format!("{}, but {why}", evidence.measured);
    }
}

/// The advice for a starved machine.
pub const STARVED: &str =
    "repeat the run on a machine with time to spare, or lower the rates of the workloads";
