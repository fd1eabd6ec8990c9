use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::check::Watch;
use crate::event::{Fact, Name, Sample};
use crate::scenario::{AbortSpec, Plan};
use crate::units::Moment;

/// What the run itself needs to look at while it is under way: the latest samples of the
/// sources of its steady state, and the abort conditions. The collector writes it.
#[derive(Debug, Clone)]
pub(super) struct Board {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    /// How far back the steady state looks.
    window: Duration,
    samples: BTreeMap<Name, Latest>,
    aborts: Vec<Watch>,
}

/// The samples of one source that a window which ends now may hold.
#[derive(Debug, Default)]
struct Latest {
    samples: VecDeque<Sample>,
    /// The last moment at which a sample was done.
    done: Moment,
}

impl Latest {
    /// Keeps a sample, and drops the oldest: no window that ends after `done` reaches back to them.
    fn see(&mut self, sample: &Sample, window: Duration) {
        self.done = self.done.max(sample.done);
        self.samples.push_back(sample.clone());
        let oldest = self.done.before(window);
        while self
            .samples
            .front()
            .is_some_and(|first| first.intended < oldest)
        {
            self.samples.pop_front();
        }
    }
}

impl Board {
    pub(super) fn new(plan: &Plan) -> Self {
        let aborts = plan.aborts.iter().map(|AbortSpec { when, .. }| {
            let deadline = plan.experiment.deadline(&when.source);
            Watch::new(when.clone(), deadline)
        });
        let required = plan.steady_state.require.iter();
        let sources = required.map(|assertion| assertion.source.clone());
        Self {
            inner: Arc::new(Mutex::new(Inner {
                window: plan.steady_state.window,
                samples: sources.map(|source| (source, Latest::default())).collect(),
                aborts: aborts.collect(),
            })),
        }
    }

    /// Takes note of a fact.
    pub(super) fn see(&self, fact: &Fact) {
        if let Fact::Sample(sample) = fact {
            let mut inner = self.lock();
            for watch in &mut inner.aborts {
                watch.see(sample);
            }
            let window = inner.window;
            if let Some(latest) = inner.samples.get_mut(&sample.source) {
                latest.see(sample, window);
            }
        }
    }

    /// The samples of a source of the steady state that were intended in `from..to`, at most its
    /// window before now, and whose outcome is known.
    pub(super) fn samples(&self, source: &str, from: Moment, to: Moment) -> Vec<Sample> {
        let inner = self.lock();
        let latest = inner.samples.get(source).into_iter();
        latest
            .flat_map(|latest| &latest.samples)
            .filter(|sample| sample.intended >= from && sample.intended < to)
            .cloned()
            .collect()
    }

    /// The first abort condition that has held for its time, with what was measured.
    pub(super) fn abort(&self, now: Moment) -> Option<Fact> {
        let mut inner = self.lock();
        inner.aborts.iter_mut().find_map(|watch| {
            let measured = watch.held(now)?;
            Some(Fact::Abort {
                when: watch.assertion().to_string(),
                measured: measured.to_string(),
            })
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    #[test]
    fn only_the_samples_of_a_window_that_ends_now_are_kept() {
        let at = |ms| Moment::ZERO + Duration::from_millis(ms);
        let mut latest = Latest::default();
        for ms in 0..10_000 {
            let sample = Sample {
                source: "reads".into(),
                intended: at(ms),
                sent: at(ms),
                done: at(ms + 5),
                outcome: Outcome::Timeout,
                digest: None,
            };
            latest.see(&sample, Duration::from_millis(100));
        }
        let intended: Vec<_> = latest.samples.iter().map(|one| one.intended).collect();
        assert_eq!(intended, (9_904..10_000).map(at).collect::<Vec<_>>());
    }
}
