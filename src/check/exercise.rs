//! Whether a run gave a check something to judge: faults that touched somebody, a machine that had
//! time to measure.

use std::time::Duration;

use super::{CheckSpec, Finding, History, Window, show};
use crate::event::Name;
use crate::units::{Moment, Period, Share};

/// Why a fault proves nothing: it never happened, or it touched too few connections. Each time
/// that it was in force must have touched enough.
pub(super) fn missing(history: &History, fault: &str) -> Option<String> {
    let occurrences = history.fault(fault);
    let fewest = occurrences.iter().map(|one| one.hits.len() as u64).min();
    let Some(fewest) = fewest else {
        return Some(format!("fault `{fault}` never happened"));
    };
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

/// From when to when a check looks; or the finding that there is nothing to look at, because a
/// fault that `during` names proved nothing or because the run never came so far.
pub(super) fn window(
    during: &Window,
    spec: &CheckSpec,
    history: &History,
) -> Result<(Moment, Moment), Box<Finding>> {
    if let Some(why) = any_missing(history, during.faults()) {
        return Err(Box::new(Finding::inconclusive(spec, why, NO_VICTIMS)));
    }
    during.resolve(history).ok_or_else(|| {
        let why = format!("the window `{during}` never was");
        let help = "choose a window that the run reaches";
        Box::new(Finding::inconclusive(spec, why, help))
    })
}

/// `fault exercised: 23 victims of ...`, for the notes of a finding.
pub(super) fn victims(history: &History, fault: &str) -> String {
    let hits = history.fault(fault).iter().map(|one| one.hits.len() as u64);
    format!(
        "fault `{fault}` exercised: {}",
        show::plural(hits.sum(), "victim")
    )
}

/// The advice for a fault that touched nothing.
pub(super) const NO_VICTIMS: &str = "let the service use the connection while the fault is in force: add a workload, or aim the \
     fault at the proxy that the service connects through";

/// What a machine may do for latencies to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    pub(super) max_busy: Share,
    pub(super) max_lateness: Duration,
}

/// How busy the machine may be by default.
pub(super) fn max_busy() -> Share {
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
        let busy = history.busy(window);
        if let Some(busy) = busy.filter(|busy| *busy > self.max_busy.fraction()) {
            return Some(format!("the machine was {} busy", show::percent(busy)));
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

/// The advice for a starved machine.
pub(super) const STARVED: &str =
    "repeat the run on a machine with time to spare, or lower the rates of the workloads";
