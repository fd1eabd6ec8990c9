use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::check::Watch;
use crate::event::{Fact, Name, Sample};
use crate::scenario::{AbortSpec, Plan};
use crate::units::Moment;

/// What the run itself needs to look at while it is under way: the samples of every source, and
/// the abort conditions. The collector writes it.
#[derive(Debug, Clone)]
pub(super) struct Board {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    samples: BTreeMap<Name, Vec<Sample>>,
    aborts: Vec<Watch>,
}

impl Board {
    pub(super) fn new(plan: &Plan) -> Self {
        let aborts = plan.aborts.iter().map(|AbortSpec { when, .. }| {
            let deadline = plan.experiment.deadline(&when.source);
            Watch::new(when.clone(), deadline)
        });
        Self {
            inner: Arc::new(Mutex::new(Inner {
                samples: BTreeMap::new(),
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
            let of_source = inner.samples.entry(sample.source.clone()).or_default();
            of_source.push(sample.clone());
        }
    }

    /// The samples of `source` that were intended in `from..to` and whose outcome is known.
    pub(super) fn samples(&self, source: &str, from: Moment, to: Moment) -> Vec<Sample> {
        let inner = self.lock();
        let of_source = inner.samples.get(source).map_or(&[][..], Vec::as_slice);
        of_source
            .iter()
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
