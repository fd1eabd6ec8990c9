use crate::check::{Finding, Trace};
use crate::event::Name;
use crate::units::Moment;

/// Plots of one check at most.
const MOST_TRACES: usize = 8;
/// Waits of one loop at most: a storm is seen in far fewer.
const MOST_WAITS: usize = 300;

/// The attempts of one loop at a session during one outage.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempts {
    /// The backoff check that looks at them.
    pub check: Name,
    /// The fault that keeps them from coming through.
    pub fault: Name,
    /// Length of the outage; times below count from its beginning.
    pub outage_s: f64,
    /// When the outage began.
    pub from_s: f64,
    /// When the first attempt was made; `None` if there was none.
    pub first_s: Option<f64>,
    /// The attempts after the first.
    pub waits: Vec<Wait>,
    /// Attempts that are left out here.
    pub left_out: usize,
}

/// One wait before an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wait {
    /// When the attempt was made.
    pub at_s: f64,
    /// How long after the failure of the one before it.
    pub wait_s: f64,
    /// The shortest and the longest wait that the declared policy allows here, with the check's
    /// tolerance; `None` if none is declared.
    pub allowed_s: Option<(f64, f64)>,
}

pub(super) fn attempts(findings: &[Finding], origin: Moment) -> Vec<Attempts> {
    let traces = findings.iter().flat_map(|finding| {
        let traces = finding.traces.iter().take(MOST_TRACES);
        traces.map(|trace| attempts_of(&finding.check, trace, origin))
    });
    traces.collect()
}

fn attempts_of(check: &Name, trace: &Trace, origin: Moment) -> Attempts {
    let (from, to) = trace.outage;
    let left_out = trace.gaps.len().saturating_sub(MOST_WAITS);
    let gaps = trace.gaps.iter().take(MOST_WAITS);
    Attempts {
        check: check.clone(),
        fault: trace.fault.clone(),
        outage_s: to.seconds_from(from),
        from_s: from.seconds_from(origin),
        first_s: trace.first.map(|first| first.seconds_from(from)),
        waits: gaps
            .map(|gap| Wait {
                at_s: gap.attempt.seconds_from(from),
                wait_s: gap.seconds,
                allowed_s: gap.allowed,
            })
            .collect(),
        left_out,
    }
}
