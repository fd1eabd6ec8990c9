//! One outage, and the attempts that were made in it.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use super::attempts;
use super::crowd::Crowd;
use super::policy::{self, Policy, Shape};
use super::trace::trace;
use super::{Params, feasible, herd};
use crate::check::{
    Attempt, CheckSpec, Connection, Evidence, Finding, History, Occurrence, Verdict, exercise, show,
};
use crate::units::{Moment, Period, Share};

/// Any number: the same journal must always give the same verdict.
const SEED: u64 = 0x6261_636b;

/// A client need not dial sooner after a loss: many dial for the next request, or after a delay.
const FIRST_ATTEMPT: Duration = Duration::from_secs(1);

/// One outage.
pub(super) struct Case<'a> {
    pub(super) params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    pub(super) window: (Moment, Moment),
    /// When a client could first notice it.
    pub(super) felt: Moment,
    pub(super) attempts: &'a [Attempt],
}

impl<'a> Case<'a> {
    pub(super) fn new(
        params: &'a Params,
        spec: &'a CheckSpec,
        history: &'a History,
        occurrence: &Occurrence,
    ) -> Self {
        let window = (occurrence.inject, history.lifted(occurrence));
        let attempts = attempts::seen(history, &params.proxy, window);
        let mut hits = occurrence.hits.iter();
        let hit = hits.find(|hit| hit.proxy == params.proxy);
        Self {
            params,
            spec,
            history,
            window,
            felt: hit.map_or(window.0, |hit| hit.at),
            attempts,
        }
    }

    pub(super) fn judge(&self) -> Finding {
        let mut finding = self.as_seen();
        if finding.verdict == Verdict::Fail && self.is_a_matter_of_lateness() {
            exercise::excuse(
                &mut finding,
                self.history,
                self.window,
                // How late each may be was looked at already.
                (Duration::ZERO, Duration::ZERO),
            );
        }
        finding
    }

    /// Whether nothing would be wrong if attempts could come as late as a starved machine may make
    /// them: it may hold them up, but never makes more of them.
    fn is_a_matter_of_lateness(&self) -> bool {
        let patient = Params {
            late: Period(exercise::at_most(self.params.late.get())),
            ..self.params.clone()
        };
        let case = Case {
            params: &patient,
            ..*self
        };
        case.as_seen().verdict != Verdict::Fail
    }

    /// The verdict, whatever the machine had to do besides.
    fn as_seen(&self) -> Finding {
        let mut finding = Finding::new(self.spec, Verdict::Pass, "");
        let lanes = self.lanes();
        finding.evidence.push(self.enough());
        finding.evidence.extend(self.rate());
        finding.evidence.push(self.budget());
        finding.evidence.extend(self.first());
        finding.evidence.extend(self.herd());
        // That there were none is said already.
        let unseen = self.attempts.is_empty() && self.params.min_attempts > 0;
        if let Some(policy) = self.params.policy().filter(|_| !unseen) {
            for lane in &lanes {
                finding.evidence.push(self.support(&policy, lane));
                finding.evidence.extend(self.tries(lane));
                let last = attempts::gaps(lane).last().copied();
                finding.evidence.extend(self.gave_up(&policy, lane, last));
            }
            if lanes.is_empty() {
                finding.evidence.push(self.together(&policy));
                finding.evidence.extend(self.all_gave_up(&policy));
                finding.note(format!(
                    "{} declared loops cannot be told apart: their attempts are judged together, \
                     and no single gap",
                    self.params.loops()
                ));
            }
        }
        let traces = lanes.iter().map(|lane| trace(self, lane));
        finding.traces = traces.collect();
        finding.decide();
        self.describe(&mut finding, &lanes);
        finding
    }

    /// The loops whose gaps can be judged: all attempts as one, or one per identity if there are as
    /// many as were declared.
    pub(super) fn lanes(&self) -> Vec<Vec<&Attempt>> {
        if self.params.loops() == 1 {
            return vec![self.attempts.iter().collect()];
        }
        let lanes = attempts::by_client(self.attempts);
        match u32::try_from(lanes.len()) {
            Ok(count) if count == self.params.loops() => lanes.into_values().collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn outage(&self) -> Duration {
        self.window.1.since(self.window.0)
    }

    fn evidence(
        &self,
        verdict: Verdict,
        key: &str,
        expected: String,
        measured: String,
    ) -> Evidence {
        Evidence::new(verdict, self.spec, key, expected, measured)
            .over(self.window, self.attempts.len() as u64)
    }

    /// How long each attempt took to fail, in seconds.
    fn durations(&self) -> Vec<f64> {
        let took = |attempt: &Attempt| Some(attempt.failed?.seconds_from(attempt.start));
        self.attempts.iter().filter_map(took).collect()
    }

    fn enough(&self) -> Evidence {
        let (count, needed) = (self.attempts.len() as u64, self.params.min_attempts);
        let slowest = self.durations().into_iter().fold(0.0, f64::max);
        // Before its first attempt the client must notice the loss.
        let first = self
            .attempts
            .first()
            .map_or(self.window.0, |first| first.start);
        let left = self.window.1.since(first).as_secs_f64();
        let begun = !self.attempts.is_empty() || self.outage() >= FIRST_ATTEMPT;
        let fits = begun
            && self
                .params
                .policy()
                .is_none_or(|policy| feasible(&policy, left, slowest) + 1 >= needed);
        let early = self.history.ended_early();
        let cut_short = early.is_some_and(|early| early <= self.window.1);
        let verdict = if count >= needed {
            Verdict::Pass
        } else if self.demanded() && fits && self.lost_any() && !cut_short {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        };
        let during = show::time(self.outage());
        let mut measured = format!("{} in {during}", show::plural(count, "attempt"));
        if verdict == Verdict::Inconclusive {
            measured.push_str(if !self.lost_any() {
                ", and no connection had to be replaced"
            } else if cut_short {
                ", and the run ended in it"
            } else if fits {
                ", and nothing was asked of the service"
            } else {
                ", and no more could fit"
            });
        }
        self.evidence(
            verdict,
            "min_attempts",
            format!("at least {}", show::plural(needed, "attempt")),
            measured,
        )
    }

    /// Whether a client tried to connect, or lost a connection or gave one up: otherwise it has
    /// nothing to replace, whatever is asked of it.
    pub(super) fn lost_any(&self) -> bool {
        let (from, to) = self.window;
        let mut connections = self.history.connections(&self.params.proxy).iter();
        !self.attempts.is_empty()
            || connections.any(|connection| {
                let left = connection.left();
                connection.opened < from && left.is_some_and(|left| (from..=to).contains(&left))
            })
    }

    /// Whether anybody asked anything while the database was gone: a lazy pool dials on demand.
    fn demanded(&self) -> bool {
        let (from, to) = self.window;
        let mut sources = self.history.experiment().sources.keys();
        sources.any(|source| {
            let mut samples = self.history.samples(source).iter();
            samples.any(|sample| sample.done >= from && sample.intended <= to)
        })
    }

    pub(super) fn starts(&self) -> Vec<f64> {
        let seconds = |attempt: &Attempt| attempt.start.seconds_from(self.window.0);
        self.attempts.iter().map(seconds).collect()
    }

    fn rate(&self) -> Option<Evidence> {
        let limit = self.params.max_rate?;
        let peak = policy::peak(&self.starts());
        let verdict = if peak as f64 > limit.get() {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let measured = format!("{} in one second", show::plural(peak as u64, "attempt"));
        Some(self.evidence(verdict, "max_rate", format!("at most {limit}"), measured))
    }

    fn budget(&self) -> Evidence {
        let policy = self.params.policy().unwrap_or(Policy::DEFAULT);
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        let budget = policy.budget(
            self.params.loops(),
            self.outage().as_secs_f64(),
            &self.durations(),
            &mut rng,
        );
        let starts = self.starts();
        let (total, peak) = (starts.len() as f64, policy::peak(&starts) as f64);
        let verdict = if total > budget.total || peak > budget.per_second {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let key = if self.params.base.is_some() {
            "base"
        } else {
            "fault"
        };
        self.evidence(
            verdict,
            key,
            format!(
                "at most {} in all, {} in one second",
                budget.total, budget.per_second
            ),
            format!(
                "{}, {peak} in one second",
                show::plural(starts.len() as u64, "attempt")
            ),
        )
    }

    /// Whether each gap is one that the policy allows. A policy may wait before its first attempt
    /// or after it, so the first gap is the first or the second delay.
    fn support(&self, policy: &Policy, lane: &[&Attempt]) -> Evidence {
        let gaps = attempts::gaps(lane);
        let expected = format!(
            "delays from {} to {}, jitter {}",
            show::seconds(policy.base),
            show::seconds(policy.max),
            policy.jitter
        );
        let overlaps = attempts::overlaps(lane, self.params.late.get());
        if overlaps > 0 {
            let (verdict, than) = match self.params.lanes {
                Some(_) => (Verdict::Fail, "more loops dial than `lanes` says"),
                None => (Verdict::Inconclusive, "more than one loop dials"),
            };
            let measured = format!(
                "{} began before the one before had failed: {than}",
                show::plural(overlaps, "attempt")
            );
            let expected = "one attempt at a time in a loop".to_owned();
            return self.evidence(verdict, "lanes", expected, measured);
        }
        if gaps.len() < 2 {
            let measured = format!("{} to judge", show::plural(gaps.len() as u64, "gap"));
            return self.evidence(Verdict::Inconclusive, "base", expected, measured);
        }
        let readings = [0, 1].map(|from| self.strange(policy, &gaps, from));
        let best = readings.iter().min_by_key(|strange| strange.len());
        match best.and_then(|strange| strange.first()) {
            None => {
                let measured = format!("gaps {}", attempts::listed(&gaps));
                self.evidence(Verdict::Pass, "base", expected, measured)
            }
            Some((index, (low, high))) => {
                let measured = format!(
                    "gap {} is {}, not {} to {} (gaps {})",
                    index + 1,
                    show::seconds(gaps[*index]),
                    show::seconds(*low),
                    show::seconds(*high),
                    attempts::listed(&gaps)
                );
                self.evidence(Verdict::Fail, "base", expected, measured)
            }
        }
    }

    /// The gaps that the policy does not allow, if the first is the delay of index `from`.
    pub(super) fn strange(
        &self,
        policy: &Policy,
        gaps: &[f64],
        from: usize,
    ) -> Vec<(usize, (f64, f64))> {
        let mut last = None;
        let mut found = Vec::new();
        for (index, gap) in gaps.iter().enumerate() {
            let (low, high) = policy.range(index + from, last);
            let (earliest, latest) = self.tolerant((low, high));
            if *gap < earliest || *gap > latest {
                found.push((index, (low, high)));
            }
            last = Some(*gap);
        }
        found
    }

    /// The range with what an attempt may come early and late.
    pub(super) fn tolerant(&self, (low, high): (f64, f64)) -> (f64, f64) {
        let late = self.params.late.as_secs_f64().max(0.05 * high);
        (low - self.params.early.as_secs_f64(), high + late)
    }

    /// Whether the first attempt came soon enough after the loss.
    fn first(&self) -> Option<Evidence> {
        let limit = self.params.first?;
        let first = self.attempts.first().map(|first| first.start);
        let waited = first.unwrap_or(self.window.1).since(self.felt);
        let verdict = if waited <= limit.get() + self.params.late.get() {
            // One that is not due yet says nothing.
            first.map_or(Verdict::Inconclusive, |_| Verdict::Pass)
        } else if self.demanded() && self.lost_any() {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        };
        let measured = match first {
            Some(_) => format!("first attempt {} after the loss", show::time(waited)),
            None => format!("no attempt in the {} after the loss", show::time(waited)),
        };
        let expected = format!("a first attempt within {limit}");
        Some(self.evidence(verdict, "first", expected, measured))
    }

    /// Whether the attempts of loops that cannot be told apart thin out as the policy does.
    fn together(&self, policy: &Policy) -> Evidence {
        let lanes = self.params.loops();
        let expected = format!("attempts that {lanes} loops of the declared policy make together");
        let starts = self.starts();
        let length = self.outage().as_secs_f64() - starts.first().copied().unwrap_or_default();
        let crowd = Crowd {
            policy: *policy,
            lanes,
            length,
            spread: self.spread().min(length),
            durations: &self.durations(),
        };
        let Some(places) = crowd.places(&starts, SEED) else {
            let measured = format!("fewer than two attempts for each of {lanes} loops");
            return self.evidence(Verdict::Inconclusive, "shape", expected, measured);
        };
        let (low, high) = places.allowed;
        let shown = format!(
            "{} attempts lie at {} of {} on average, the policy's at {} to {}",
            places.attempts,
            show::percent(places.seen),
            show::seconds(places.within),
            show::percent(low.max(0.0)),
            show::percent(high.min(1.0))
        );
        let verdict = places.verdict(policy.shape, self.params.late.as_secs_f64());
        let measured = match (verdict, policy.shape) {
            (Verdict::Pass | Verdict::Fail, _) => shown,
            _ if places.seen < low => format!("{shown}: they end too early to tell"),
            (_, Shape::Exponential) => format!("{shown}, but a constant delay could explain them"),
            (_, Shape::Constant) => format!("{shown}, but a growing delay could explain them"),
        };
        self.evidence(verdict, "shape", expected, measured)
    }

    /// Within which time of each other loops begin at most, in seconds: each when it has lost its
    /// connection and something is asked of it.
    fn spread(&self) -> f64 {
        /// So often a loop may be passed over while others are asked.
        const TURNS: f64 = 3.0;
        let (from, to) = self.window;
        let lost = self.history.connections(&self.params.proxy).iter();
        let lost = lost.filter(|connection| connection.opened < from);
        let lost = lost.filter_map(Connection::left).filter(|left| *left <= to);
        let lost = lost
            .max()
            .map_or(0.0, |last| last.since(from).as_secs_f64());
        let asked = self.history.experiment().sources.keys();
        let asked = asked.flat_map(|source| self.history.samples_in(source, self.window));
        let asked = asked.count() as f64;
        lost + TURNS * f64::from(self.params.loops()) * self.outage().as_secs_f64() / asked
    }

    /// Whether no loop at all tries any more.
    fn all_gave_up(&self, policy: &Policy) -> Option<Evidence> {
        if policy.tries.is_some() || self.attempts.iter().any(|one| one.failed.is_none()) {
            return None;
        }
        let mut all: Vec<_> = self.attempts.iter().collect();
        all.sort_by_key(|one| one.failed);
        self.gave_up(policy, &all, Some(policy.longest()))
    }

    /// Whether loops dial at the same moments, again and again.
    fn herd(&self) -> Option<Evidence> {
        let (lanes, spread) = (self.params.loops(), self.params.spread);
        let starts = self.starts();
        let rounds = starts.len() / lanes.max(1) as usize;
        if lanes < herd::ENOUGH_LOOPS || spread == Share::NONE || rounds <= herd::TOO_MANY {
            return None;
        }
        let policy = self.params.policy().unwrap_or(Policy::DEFAULT);
        let volleys = herd::volleys(&starts, lanes, &policy, spread.fraction());
        let expected = format!("{lanes} loops that do not dial together");
        let (verdict, measured) = match volleys.first() {
            Some(first) if volleys.len() >= herd::TOO_MANY => (
                Verdict::Fail,
                format!(
                    "loops dialled together {} times after the first: {} of {lanes} within {} at {} \
                     of the outage",
                    volleys.len(),
                    first.loops,
                    show::seconds(first.span),
                    show::seconds(first.at)
                ),
            ),
            _ => {
                let times = volleys.len();
                let measured = format!("loops dialled together {times} times after the first");
                (Verdict::Pass, measured)
            }
        };
        Some(self.evidence(verdict, "lanes", expected, measured))
    }

    /// Whether a loop stopped when it had promised to.
    fn tries(&self, lane: &[&Attempt]) -> Option<Evidence> {
        let most = self.params.max_tries?;
        let count = lane.len() as u64;
        let verdict = if count > u64::from(most) {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let measured = format!("{} in one outage", show::plural(count, "attempt"));
        let expected = format!("at most {most} attempts, then none");
        Some(self.evidence(verdict, "max_tries", expected, measured))
    }

    /// Whether a loop stopped although its database was still gone and it had tries left. `last` is
    /// the last of its delays.
    fn gave_up(&self, policy: &Policy, lane: &[&Attempt], last: Option<f64>) -> Option<Evidence> {
        if policy.tries.is_some_and(|most| lane.len() >= most) {
            return None;
        }
        let failed = lane.last()?.failed?;
        let silence = self.window.1.since(failed).as_secs_f64();
        let (_, longest) = policy.range(lane.len(), last);
        let limit = 2.0 * longest + self.params.late.as_secs_f64();
        (silence > limit && self.demanded()).then(|| {
            let measured = format!("no attempt in the last {}", show::seconds(silence));
            let expected = "attempts go on until the database is back".to_owned();
            self.evidence(Verdict::Fail, "fault", expected, measured)
        })
    }
}
