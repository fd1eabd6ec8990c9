//! Which window an observation belongs to: the one rule for checks, tables and figures.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Occurrence;
use crate::event::{Name, Sample};
use crate::units::Moment;

/// When faults began and ended.
#[derive(Debug, Default)]
pub(super) struct Edges {
    /// When any fault was injected, in order.
    pub(super) injections: Vec<Moment>,
    /// When one was lifted, with when it was injected, in order.
    lifts: Vec<(Moment, Moment)>,
}

impl Edges {
    pub(super) fn of(faults: &BTreeMap<Name, Vec<Occurrence>>) -> Self {
        let all = || faults.values().flatten();
        let mut edges = Self {
            injections: all().map(|one| one.inject).collect(),
            lifts: all()
                .filter_map(|one| Some((one.lift?, one.inject)))
                .collect(),
        };
        edges.injections.sort_unstable();
        edges.lifts.sort_unstable();
        edges
    }

    /// The first injection of any fault at or after `moment`.
    pub(super) fn next_injection(&self, moment: Moment) -> Option<Moment> {
        let next = self.injections.partition_point(|at| *at < moment);
        self.injections.get(next).copied()
    }

    /// The first injection that found `sample` under way, unless it had been sent under a fault
    /// that was gone by then: it belongs to that one.
    fn met_by(&self, sample: &Sample) -> Option<Moment> {
        let next = self.injections.partition_point(|at| *at <= sample.intended);
        let inject = self.injections.get(next).copied()?;
        let first = self
            .lifts
            .partition_point(|(lift, _)| *lift <= sample.intended);
        let mut gone = self.lifts[first..]
            .iter()
            .take_while(|(lift, _)| *lift <= inject);
        let of_another = gone.any(|(_, began)| *began <= sample.intended);
        (inject < sample.done && !of_another).then_some(inject)
    }

    /// Since when nothing had begun or ended when a fault was injected.
    fn quiet_since(&self, inject: Moment) -> Option<Moment> {
        let began = self.injections.partition_point(|at| *at < inject);
        let ended = self.lifts.partition_point(|(lift, _)| *lift <= inject);
        let began = began.checked_sub(1).map(|last| self.injections[last]);
        let ended = ended.checked_sub(1).map(|last| self.lifts[last].0);
        began.max(ended)
    }
}

/// The observations of one workload or probe.
#[derive(Debug, Default)]
pub(super) struct Observations {
    /// By the moment at which they should have been sent.
    samples: Vec<Sample>,
    /// By the moment at which they count, where that differs for any of them.
    counted: Option<Counted>,
}

/// Observations as they count in windows.
#[derive(Debug)]
struct Counted {
    moments: Vec<Moment>,
    samples: Vec<Sample>,
}

impl Observations {
    pub(super) fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
    }

    /// Decides when each of them counts; the baseline begins at `start`.
    ///
    /// That is when it should have been sent. But one that a fault finds under way counts from the
    /// injection, and so belongs to the fault, unless it had by then already taken longer than any
    /// good answer since faults last began or ended (or else, of the baseline): that is trouble of
    /// the time before. There it counts with what it had taken when the fault began.
    pub(super) fn assign(&mut self, edges: &Edges, start: Moment) {
        self.samples
            .sort_by_key(|sample| (sample.intended, sample.done));
        let mut known: Option<(Moment, Duration)> = None;
        let mut moved = false;
        let counted = self.samples.iter().map(|sample| {
            let Some(inject) = edges.met_by(sample) else {
                return (sample.intended, None);
            };
            moved = true;
            let usual = match known {
                Some((at, usual)) if at == inject => usual,
                _ => self.longest_good(edges, inject, start),
            };
            known = Some((inject, usual));
            if inject.since(sample.sent) <= usual {
                (inject, None)
            } else {
                (sample.intended, Some(inject))
            }
        });
        let counted: Vec<_> = counted.collect();
        if !moved {
            return;
        }
        let mut counted: Vec<(Moment, Sample)> = counted
            .into_iter()
            .zip(&self.samples)
            .map(|((at, cut), sample)| (at, cut_off(sample, cut)))
            .collect();
        counted.sort_by_key(|(at, sample)| (*at, sample.intended, sample.done));
        let (moments, samples) = counted.into_iter().unzip();
        self.counted = Some(Counted { moments, samples });
    }

    /// The longest that a good answer took in the quiet time before an injection, else in the
    /// baseline.
    fn longest_good(&self, edges: &Edges, inject: Moment, start: Moment) -> Duration {
        let since = edges.quiet_since(inject).max(Some(start));
        let first = edges.next_injection(start).unwrap_or(inject);
        let quiet = [(since.unwrap_or(start), inject), (start, first)];
        let mut longest = quiet.into_iter().filter_map(|(from, to)| {
            let sent = slice(&self.samples, |sample| sample.intended, (from, to)).iter();
            let good = sent.filter(|sample| sample.outcome.is_ok() && sample.done <= to);
            good.map(|sample| sample.done.since(sample.sent)).max()
        });
        longest.next().unwrap_or_default()
    }

    /// All of them, by the moment at which they should have been sent.
    pub(super) fn all(&self) -> &[Sample] {
        &self.samples
    }

    /// Those that count from `from` on and before `to`.
    pub(super) fn within(&self, (from, to): (Moment, Moment)) -> &[Sample] {
        let Some(counted) = &self.counted else {
            return slice(&self.samples, |sample| sample.intended, (from, to));
        };
        let first = counted.moments.partition_point(|at| *at < from);
        let last = counted.moments.partition_point(|at| *at < to);
        &counted.samples[first..last.max(first)]
    }
}

/// The items from `from` on and before `to`, of which `items` are in order.
fn slice<T>(items: &[T], at: impl Fn(&T) -> Moment, (from, to): (Moment, Moment)) -> &[T] {
    let first = items.partition_point(|item| at(item) < from);
    let last = items.partition_point(|item| at(item) < to);
    &items[first..last.max(first)]
}

/// The sample as it was known when a fault began: what came of it later may be the fault's.
fn cut_off(sample: &Sample, at: Option<Moment>) -> Sample {
    let mut sample = sample.clone();
    if let Some(at) = at {
        sample.done = at;
        sample.digest = None;
    }
    sample
}
