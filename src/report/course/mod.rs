//! How a run went over time: what the plots and the event log of the HTML report show.
//!
//! Everything here is bounded, however long the run was. Seconds count from time zero.

mod attempts;
mod jobs;
mod log;
mod series;

pub use attempts::{Attempts, Wait};
pub use jobs::Job;
pub use log::{Entry, EventLog};
pub use series::{Bin, Series};

use crate::check::{Finding, History};
use crate::event::Phase;
use crate::units::Moment;

/// The course of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Course {
    /// From when to when there is something to see.
    pub span_s: (f64, f64),
    /// What each workload and probe saw, by name.
    pub series: Vec<Series>,
    /// Attempts at a session, for each backoff check, outage and loop.
    pub attempts: Vec<Attempts>,
    /// The jobs that were followed.
    pub jobs: Vec<Job>,
    /// What happened.
    pub log: EventLog,
}

/// Gathers the course; seconds count from `origin`.
pub(super) fn course(history: &History, findings: &[Finding], origin: Moment) -> Course {
    let from = history.phase(Phase::SteadyState).unwrap_or(origin);
    Course {
        span_s: (
            from.seconds_from(origin),
            history.end().max(from).seconds_from(origin),
        ),
        series: series::series(history, origin),
        attempts: attempts::attempts(findings, origin),
        jobs: jobs::jobs(history, origin),
        log: log::log(history, origin),
    }
}

/// Every n-th of `all`, so that at most about `most` remain; the last always does.
fn thinned<T>(all: Vec<T>, most: usize) -> Vec<T> {
    let every = all.len().div_ceil(most).max(1);
    let last = all.len().saturating_sub(1);
    all.into_iter()
        .enumerate()
        .filter(|(index, _)| index.is_multiple_of(every) || *index == last)
        .map(|(_, one)| one)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::thinned;

    #[test]
    fn thinning_keeps_the_first_and_the_last_and_bounds_the_rest() {
        assert_eq!(thinned(vec![1, 2, 3], 5), [1, 2, 3]);
        assert_eq!(thinned((0..100).collect(), 3), [0, 34, 68, 99]);
        assert!(thinned(Vec::<u8>::new(), 3).is_empty());
    }
}
