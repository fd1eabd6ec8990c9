use std::collections::BTreeSet;
use std::time::Duration;

use super::Params;
use super::disturbed::Disturbed;
use crate::check::metric::{Metric, Terms, Unit};
use crate::check::{Assertion, History, show};
use crate::event::{Answers, Name, Sample};
use crate::units::Moment;

/// The time after a fault, as the service's clients saw it.
pub(super) struct Aftermath<'a> {
    pub(super) params: &'a Params,
    history: &'a History,
    pub(super) healed: Moment,
    sources: BTreeSet<&'a Name>,
    disturbed: Disturbed,
}

/// How the time after a fault went.
#[derive(Default)]
pub(super) struct Course {
    /// The start of the first good stretch after which there was no dip.
    pub(super) recovered: Option<Moment>,
    /// The same, if latency that may have been the machine's breaks no stretch.
    pub(super) at_best: Option<Moment>,
    /// The start of the first good stretch.
    pub(super) held: Option<Moment>,
    /// When requests first failed again after a good stretch, and how many did.
    pub(super) dip: Option<(Moment, String)>,
    /// What was wrong around the bound.
    pub(super) why: Option<String>,
    /// Why latency may have been the machine's.
    pub(super) machine: Option<String>,
    /// Whether there were enough observations to say more.
    pub(super) seen: bool,
}

/// A stretch as long as `hold`.
enum Stretch {
    Good,
    Thin(String),
    /// Too many requests failed.
    Failing(String),
    /// Another demand is not met.
    Bad(String),
    /// Slow, but only while the machine had no time.
    Disturbed {
        why: String,
        machine: String,
    },
}

/// The share of observations that must be ok.
const OK: f64 = 0.99;

impl<'a> Aftermath<'a> {
    pub(super) fn new(params: &'a Params, history: &'a History, healed: Moment) -> Self {
        let mut aftermath = Self {
            params,
            history,
            healed,
            sources: params
                .that
                .iter()
                .map(|assertion| &assertion.source)
                .collect(),
            disturbed: Disturbed::default(),
        };
        let span = (healed, aftermath.limit());
        let samples = aftermath.in_window(span).flatten();
        aftermath.disturbed = Disturbed::within(history, samples);
        aftermath
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

    /// What stood against a recovery, in words.
    pub(super) fn reason(&self, course: &Course) -> String {
        let after = |at: Moment| show::time(at.since(self.healed));
        match (course.held, &course.dip) {
            (Some(held), Some((dip, why))) => format!(
                "well {} after the fault, failing again after {}: {why}",
                after(held),
                after(*dip)
            ),
            _ => course
                .why
                .clone()
                .unwrap_or_else(|| "too little was seen".to_owned()),
        }
    }

    /// That a request was answered before `moment`, in words, if one was.
    pub(super) fn answered_before(&self, moment: Moment) -> String {
        let first = self.first_success().filter(|first| *first < moment);
        let words = |first: Moment| {
            let after = show::time(first.since(self.healed));
            format!(", first success after {after}")
        };
        first.map(words).unwrap_or_default()
    }

    /// Whether so many requests failed from `moment` on that no stretch with all of them is good.
    pub(super) fn failed_after(&self, moment: Moment) -> bool {
        let limit = self.limit();
        let samples = |from: Moment| self.in_window((from, limit)).flatten();
        let failed = samples(moment).filter(|sample| !sample.outcome.is_ok());
        // Such a stretch goes on after what was seen: it holds as many as the last one that was.
        let from = moment.min(limit.before(self.params.hold.get()));
        failed.count() as f64 > (1.0 - OK) * samples(from).count() as f64
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
        let bound = self.healed + self.params.within.get();
        let mut course = Course::default();
        for start in self.starts(observed) {
            let stretch = self.stretch(start);
            course.seen |= !matches!(stretch, Stretch::Thin(_));
            let why = match stretch {
                Stretch::Good => {
                    course.held.get_or_insert(start);
                    course.recovered.get_or_insert(start);
                    course.at_best.get_or_insert(start);
                    continue;
                }
                Stretch::Thin(why) => {
                    course.why = Some(why);
                    continue;
                }
                Stretch::Disturbed { why, machine } => {
                    course.at_best.get_or_insert(start);
                    course.machine.get_or_insert(machine);
                    why
                }
                Stretch::Failing(why) => {
                    (course.recovered, course.at_best) = (None, None);
                    if course.held.is_some() && course.dip.is_none() {
                        course.dip = Some((self.first_failure(start), why.clone()));
                    }
                    why
                }
                Stretch::Bad(why) => why,
            };
            if course.why.is_none() || start <= bound {
                course.why = Some(why);
            }
        }
        course
    }

    fn window(&self, start: Moment) -> (Moment, Moment) {
        (start, start + self.params.hold.get())
    }

    fn ok_share(&self, window: (Moment, Moment)) -> f64 {
        let samples = || self.in_window(window).flatten();
        let ok = samples().filter(|sample| sample.outcome.is_ok()).count();
        ok as f64 / samples().count().max(1) as f64
    }

    fn first_failure(&self, start: Moment) -> Moment {
        let samples = self.in_window(self.window(start)).flatten();
        let failed = samples.filter(|sample| !sample.outcome.is_ok());
        failed.map(|sample| sample.intended).min().unwrap_or(start)
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
        let ok = self.ok_share(window);
        if ok < OK {
            let ok = show::percent(ok);
            return Stretch::Failing(format!("only {ok} of the requests were ok"));
        }
        let others = self.params.that.iter().filter(|that| !of_latency(that));
        let mut broken = others.filter_map(|that| self.broken(that, window, |_| true));
        if let Some(why) = broken.next() {
            return Stretch::Bad(why);
        }
        let Some(why) = self.slow(window, |_| true) else {
            return Stretch::Good;
        };
        // Only what was slow while the machine had time is surely the server's.
        match self.slow(window, |sample| self.disturbed.by(sample).is_none()) {
            Some(why) => Stretch::Bad(why),
            None => Stretch::Disturbed {
                machine: self.disturbance(window).unwrap_or_default(),
                why,
            },
        }
    }

    /// What of the latencies of those that count is far from the baseline, or not as demanded.
    fn slow(
        &self,
        window: (Moment, Moment),
        counts: impl Fn(&Sample) -> bool + Copy,
    ) -> Option<String> {
        let mut sources = self.sources.iter();
        let far = sources.find_map(|source| self.far(source, window, counts));
        let mut demands = self.params.that.iter().filter(|that| of_latency(that));
        far.or_else(|| demands.find_map(|that| self.broken(that, window, counts)))
    }

    /// Whether the p95 of a source is far from that of the baseline.
    fn far(
        &self,
        source: &str,
        window: (Moment, Moment),
        counts: impl Fn(&Sample) -> bool,
    ) -> Option<String> {
        let terms = Terms {
            length: Duration::ZERO,
            deadline: self.history.experiment().deadline(source),
            of: Answers::Good,
        };
        let samples = self.history.samples_in(source, window).iter();
        let now = Metric::P95.of(samples.filter(|sample| counts(sample)), terms)?;
        let before = self.history.baseline();
        let baseline = self.history.figure(Metric::P95, source, before)?;
        let limit = (2.0 * baseline).max(baseline + self.params.slack.as_secs_f64());
        (now > limit).then(|| {
            format!(
                "`{source}` p95 {}, {} in the baseline",
                show::seconds(now),
                show::seconds(baseline)
            )
        })
    }

    /// Whether an assertion does not hold of those that count, if there are any.
    fn broken(
        &self,
        assertion: &Assertion,
        window: (Moment, Moment),
        counts: impl Fn(&Sample) -> bool,
    ) -> Option<String> {
        let samples = self.history.samples_in(&assertion.source, window).iter();
        let samples = samples.filter(|sample| counts(sample));
        let measured = self
            .history
            .measure_of(assertion, Answers::Good, samples, window);
        let broken = measured.tally.all > 0 && measured.holds() != Some(true);
        broken.then(|| format!("`{}` {measured}", assertion.source))
    }

    fn disturbance(&self, window: (Moment, Moment)) -> Option<String> {
        let mut samples = self.in_window(window).flatten();
        samples.find_map(|sample| self.disturbed.by(sample).map(str::to_owned))
    }
}

fn of_latency(assertion: &Assertion) -> bool {
    assertion.metric.unit() == Unit::Time
}
