use std::collections::BTreeSet;
use std::time::Duration;

use super::Params;
use crate::check::metric::Metric;
use crate::check::{Assertion, History, show};
use crate::event::{Answers, Name, Sample};
use crate::units::Moment;

/// The time after a fault, as the service's clients saw it.
pub(super) struct Aftermath<'a> {
    pub(super) params: &'a Params,
    history: &'a History,
    pub(super) healed: Moment,
    sources: BTreeSet<&'a Name>,
}

/// How the time after a fault went.
pub(super) struct Course {
    /// The start of the first good stretch after which there was no dip.
    pub(super) recovered: Option<Moment>,
    /// Whether a good stretch was followed by a dip.
    pub(super) dipped: bool,
    /// What was wrong around the bound.
    pub(super) why: Option<String>,
    /// Whether there were too few observations to say more.
    pub(super) thin: bool,
}

/// A stretch as long as `hold`.
enum Stretch {
    Good,
    Thin(String),
    Bad(String),
}

/// The share of observations that must be ok.
const OK: f64 = 0.99;

impl<'a> Aftermath<'a> {
    pub(super) fn new(params: &'a Params, history: &'a History, healed: Moment) -> Self {
        Self {
            params,
            history,
            healed,
            sources: params
                .that
                .iter()
                .map(|assertion| &assertion.source)
                .collect(),
        }
    }

    /// How long every source was seen after the fault, up to the next one.
    pub(super) fn observed(&self) -> Option<Duration> {
        let limit = self.limit();
        let ends = self.sources.iter().map(|source| {
            let samples = self.history.samples_in(source, (self.healed, limit));
            samples
                .last()
                .map(|sample| sample.intended.since(self.healed))
        });
        // The schedule's grain: the last observation stands for the interval that it begins.
        let ends: Option<Vec<Duration>> = ends.collect();
        ends?.into_iter().min()
    }

    pub(super) fn in_window(&self, window: (Moment, Moment)) -> impl Iterator<Item = &'a [Sample]> {
        let history = self.history;
        self.sources
            .iter()
            .map(move |source| history.samples_in(source, window))
    }

    pub(super) fn sources(&self) -> impl Iterator<Item = &'a Name> {
        self.sources.iter().copied()
    }

    pub(super) fn first_success(&self) -> Option<Moment> {
        self.in_window((Moment::ZERO, Moment::MAX))
            .flatten()
            .filter(|sample| sample.outcome.is_ok() && sample.done >= self.healed)
            .map(|sample| sample.done)
            .min()
    }

    /// Whether too many requests failed from `moment` on.
    pub(super) fn failed_after(&self, moment: Moment) -> bool {
        let samples = || self.in_window((moment, self.limit())).flatten();
        let failed = samples().filter(|sample| !sample.outcome.is_ok()).count();
        failed as f64 > (1.0 - OK) * samples().count() as f64
    }

    /// The next injection of any fault, or the end of observation.
    fn limit(&self) -> Moment {
        let next = self.history.next_injection(self.healed);
        next.unwrap_or_else(|| self.history.end())
    }

    /// The moments at which a stretch may begin: each observation, a hundredth of a stretch apart.
    fn starts(&self, observed: Duration) -> Vec<Moment> {
        let hold = self.params.hold.get();
        let last = (self.healed + observed).before(hold);
        let mut moments: Vec<Moment> = self
            .in_window((self.healed, self.healed + observed))
            .flatten()
            .map(|sample| sample.intended)
            .chain([self.healed])
            .filter(|moment| *moment <= last)
            .collect();
        moments.sort_unstable();
        let mut kept: Vec<Moment> = Vec::new();
        for moment in moments {
            if kept
                .last()
                .is_none_or(|last| moment.since(*last) * 100 >= hold)
            {
                kept.push(moment);
            }
        }
        kept
    }

    pub(super) fn course(&self) -> Course {
        let observed = self.observed().unwrap_or_default();
        let mut course = Course {
            recovered: None,
            dipped: false,
            why: None,
            thin: true,
        };
        for start in self.starts(observed) {
            match self.stretch(start) {
                Stretch::Good => {
                    course.recovered.get_or_insert(start);
                    course.thin = false;
                }
                Stretch::Thin(why) => course.why = Some(why),
                Stretch::Bad(why) => {
                    course.thin = false;
                    if course.recovered.is_some() && self.ok_share(start) < OK {
                        course.dipped = true;
                        course.recovered = None;
                    }
                    if course.why.is_none() || start <= self.healed + self.params.within.get() {
                        course.why = Some(why);
                    }
                }
            }
        }
        course
    }

    fn window(&self, start: Moment) -> (Moment, Moment) {
        (start, start + self.params.hold.get())
    }

    fn ok_share(&self, start: Moment) -> f64 {
        let samples = || self.in_window(self.window(start)).flatten();
        let ok = samples().filter(|sample| sample.outcome.is_ok()).count();
        ok as f64 / samples().count().max(1) as f64
    }

    fn stretch(&self, start: Moment) -> Stretch {
        let window = self.window(start);
        let count: usize = self.in_window(window).map(<[Sample]>::len).sum();
        let silent = self.in_window(window).any(<[Sample]>::is_empty);
        if silent || (count as u64) < self.params.min_samples {
            return Stretch::Thin(format!(
                "{} in {}, {} needed",
                show::samples(count as u64),
                self.params.hold,
                self.params.min_samples
            ));
        }
        let ok = self.ok_share(start);
        if ok < OK {
            return Stretch::Bad(format!(
                "only {} of the requests were ok",
                show::percent(ok)
            ));
        }
        if let Some(why) = self
            .sources
            .iter()
            .find_map(|source| self.slow(source, window))
        {
            return Stretch::Bad(why);
        }
        let broken = self
            .params
            .that
            .iter()
            .find_map(|that| self.broken(that, window));
        broken.map_or(Stretch::Good, Stretch::Bad)
    }

    /// Whether the p95 of a source is far from that of the baseline.
    fn slow(&self, source: &str, window: (Moment, Moment)) -> Option<String> {
        let p95 = |window| self.history.figure(Metric::P95, source, window);
        let (now, baseline) = (p95(window)?, p95(self.history.baseline())?);
        let limit = (2.0 * baseline).max(baseline + self.params.slack.as_secs_f64());
        (now > limit).then(|| {
            format!(
                "`{source}` p95 {}, {} in the baseline",
                show::seconds(now),
                show::seconds(baseline)
            )
        })
    }

    fn broken(&self, assertion: &Assertion, window: (Moment, Moment)) -> Option<String> {
        let measured = self.history.measure(assertion, Answers::Good, window);
        (measured.holds() != Some(true)).then(|| format!("`{}` {measured}", assertion.source))
    }
}
