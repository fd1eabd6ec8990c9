use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::SourceBrief;
use crate::diag::Severity;
use crate::event::Name;

/// What is known of a run before it begins: enough to tell whether a check can pass and can fail.
#[derive(Debug, Clone, Default)]
pub struct Outlook {
    /// The faults by name.
    pub faults: BTreeMap<Name, FaultOutlook>,
    /// Workloads and probes by name.
    pub sources: BTreeMap<Name, SourceBrief>,
    /// Names of faults, workloads and probes that the scenario has, but with mistakes: they were
    /// told, and nothing follows from them.
    pub unread: BTreeSet<Name>,
    /// Services that the run does not start.
    pub attached: BTreeSet<Name>,
    /// Services that are not asked whether they are ready.
    pub unwatched: BTreeSet<Name>,
    /// Services whose log is not read.
    pub unlogged: BTreeSet<Name>,
    /// Proxies that cannot tell sessions from connections.
    pub opaque: BTreeSet<Name>,
    /// Workloads and probes of whose answers no digest is kept.
    pub undigested: BTreeSet<Name>,
    /// The checks by name.
    pub checks: BTreeMap<Name, CheckOutlook>,
    /// Length of the baseline: the steady-state window and the time to the first fault.
    pub baseline: Duration,
    /// From time zero to the end of the schedule.
    pub duration: Duration,
}

/// What is known of a fault before the run.
#[derive(Debug, Clone)]
pub struct FaultOutlook {
    /// Its kind.
    pub kind: String,
    /// Its parameters.
    pub params: serde_json::Value,
    /// What it acts on, mostly a proxy; several names are joined by `, `.
    pub proxy: Name,
    /// Each occurrence: from, to, after time zero.
    pub windows: Vec<(Duration, Duration)>,
    /// Whether each of them has a length, and a judgement, of its own.
    pub swept: bool,
}

impl Outlook {
    /// The first injection of any fault at or after `moment`.
    pub fn next_injection(&self, moment: Duration) -> Option<Duration> {
        let all = self.faults.values().flat_map(|fault| &fault.windows);
        all.map(|(from, _)| *from)
            .filter(|from| *from >= moment)
            .min()
    }

    /// Whether a fault is injected so many seconds after time zero.
    pub(super) fn injects_at(&self, seconds: f64) -> bool {
        let mut all = self.faults.values().flat_map(|fault| &fault.windows);
        all.any(|(from, _)| (from.as_secs_f64() - seconds).abs() < 1e-9)
    }
}

/// A check as it is written, right or wrong.
#[derive(Debug, Clone, Default)]
pub struct CheckOutlook {
    /// Its type.
    pub kind: String,
    /// Its parameters.
    pub params: serde_json::Value,
}

/// Something to mend in a check, found before the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lint {
    /// An error makes the check meaningless; a warning leaves it weak.
    pub severity: Severity,
    /// The parameter at fault.
    pub key: String,
    /// What is wrong, in one line.
    pub message: String,
    /// Short text under the marked value.
    pub label: String,
    /// What to write instead.
    pub help: String,
}
