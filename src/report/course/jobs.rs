use super::thinned;
use crate::check::{History, JobPoll};
use crate::event::Name;
use crate::units::Moment;

/// Points of one job at most.
const MOST_POINTS: usize = 240;

/// A job that was followed.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// The workload that started it.
    pub workload: Name,
    /// When it had done how many items.
    pub progress: Vec<(f64, u64)>,
    /// When it was first seen to be done.
    pub done_s: Option<f64>,
}

pub(super) fn jobs(history: &History, origin: Moment) -> Vec<Job> {
    let workloads = history.experiment().sources.keys();
    workloads
        .filter_map(|workload| {
            let polls = history.job(workload);
            let progress = thinned(changes(polls, origin), MOST_POINTS);
            let done = polls.iter().find(|poll| poll.done);
            (!progress.is_empty()).then(|| Job {
                workload: workload.clone(),
                progress,
                done_s: done.map(|poll| poll.at.seconds_from(origin)),
            })
        })
        .collect()
}

/// The first poll, each that brought something new, and the last.
fn changes(polls: &[JobPoll], origin: Moment) -> Vec<(f64, u64)> {
    let known = polls
        .iter()
        .filter_map(|poll| Some((poll.at.seconds_from(origin), poll.progress?)));
    let mut points: Vec<(f64, u64)> = known.collect();
    let last = points.last().copied();
    points.dedup_by_key(|(_, items)| *items);
    points.extend(last.filter(|last| points.last() != Some(last)));
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_stands_still_keeps_its_first_and_its_last_moment() {
        let poll = |seconds: u64, progress| JobPoll {
            at: Moment::from_nanos(seconds * 1_000_000_000),
            progress,
            done: false,
            state: None,
        };
        let polls = [
            poll(1, None),
            poll(2, Some(5)),
            poll(3, Some(5)),
            poll(4, Some(7)),
            poll(5, Some(7)),
            poll(9, Some(7)),
        ];
        let found = changes(&polls, Moment::ZERO);
        assert_eq!(found, [(2.0, 5), (4.0, 7), (9.0, 7)]);
    }
}
