//! Whether a service is back to normal in time.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::kinds::backoff;
use crate::check::{
    Assertion, Check, CheckSpec, Connection, Evidence, Finding, History, Lint, Names, Occurrence,
    Outlook, Verdict, exercise, lint, show,
};
use crate::event::{Name, Sample};
use crate::units::{Moment, Period};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Recovery;

/// Parameters of a recovery check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service that must recover.
    pub service: Name,
    /// The fault or faults that it must recover from; each time that one was in force counts.
    pub fault: Names,
    /// The time that it has, from the moment at which the path carries traffic again.
    pub within: Period,
    /// What must hold of its workloads and probes to be called recovered. Besides, 99 % of their
    /// observations must be ok and their p95 near that of the baseline.
    pub that: Vec<Assertion>,
    /// How long it must stay recovered. Default 5s.
    #[serde(default = "hold")]
    pub hold: Period,
    /// Observations that are needed in that time. Default 20.
    #[serde(default = "min_samples")]
    pub min_samples: u64,
    /// How far the p95 may lie above that of the baseline, if twice the baseline is less. Default
    /// 50ms.
    #[serde(default = "slack")]
    pub slack: Period,
}

const fn hold() -> Period {
    Period::from_secs(5)
}

const fn min_samples() -> u64 {
    20
}

const fn slack() -> Period {
    Period::from_millis(50)
}

impl Check for Recovery {
    const TYPE: &'static str = "recovery";
    const SUMMARY: &'static str = "the service is back to normal in time after the fault is gone";
    type Params = Params;

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::faults(&params.fault.0, outlook);
        found.extend(lint::assertions(&params.that, outlook));
        let needed = params.within.get() + params.hold.get();
        for fault in &params.fault.0 {
            if let Some(left) = time_left(fault, outlook).filter(|left| *left < needed) {
                found.push(Lint::warning(
                    "within",
                    format!(
                        "only {} are left after `{fault}` to see it",
                        show::time(left)
                    ),
                    "cannot be shown to fail",
                    format!("leave at least {} after the fault", show::time(needed)),
                ));
            }
            found.extend(outlasted(params, fault, outlook));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let mut parts = Vec::new();
        for fault in &params.fault.0 {
            if let Some(why) = exercise::missing(history, fault) {
                parts.push(Finding::inconclusive(spec, why, exercise::NO_VICTIMS));
            }
            // What did not come back the first time is not there to be touched the next time.
            let touched = |one: &&Occurrence| one.hits.len() as u64 >= history.min_hits(fault);
            for occurrence in history.fault(fault).iter().filter(touched) {
                parts.push(judge_one(params, spec, history, fault, occurrence));
            }
        }
        let Some(mut finding) = Finding::worst_of(parts) else {
            return Finding::inconclusive(spec, "nothing to judge", exercise::NO_VICTIMS);
        };
        for fault in &params.fault.0 {
            finding.note(exercise::victims(history, fault));
            finding.notes.extend(predicted(history, fault));
        }
        finding
    }
}

/// A declared backoff that may still wait when the time to recover is over.
fn outlasted(params: &Params, fault: &str, outlook: &Outlook) -> Option<Lint> {
    let windows = &outlook.faults.get(fault)?.windows;
    let lengths = windows.iter().map(|(from, to)| to.saturating_sub(*from));
    let longest = lengths.max()?.as_secs_f64();
    let mut waits = outlook.checks.iter().filter_map(|(name, check)| {
        if check.kind != backoff::Backoff::TYPE {
            return None;
        }
        let declared = backoff::Params::deserialize(&check.params).ok()?;
        let policy = declared.policy().filter(|_| &*declared.fault == fault)?;
        Some((name, policy.under_way(longest, 0.0)))
    });
    let within = params.within.as_secs_f64();
    let (name, wait) = waits.find(|(_, wait)| *wait > within)?;
    let wait = show::seconds(wait);
    Some(Lint::warning(
        "within",
        format!("`{name}` allows a wait of {wait} after `{fault}`"),
        "may be over before the next attempt",
        format!(
            "let the service wait for less, or allow more than {wait} and the time of an attempt"
        ),
    ))
}

/// The shortest time between a lift of the fault and the next injection of any, or the end.
fn time_left(fault: &str, outlook: &Outlook) -> Option<Duration> {
    let starts = || outlook.faults.values().flat_map(|fault| &fault.windows);
    let windows = &outlook.faults.get(fault)?.windows;
    windows
        .iter()
        .map(|(_, lift)| {
            let next = starts()
                .map(|(start, _)| *start)
                .filter(|start| start >= lift);
            next.min().unwrap_or(outlook.duration).saturating_sub(*lift)
        })
        .min()
}

/// What a declared reconnection policy promises at worst.
fn predicted(history: &History, fault: &str) -> Option<String> {
    let checks = history.experiment().checks.iter();
    let mut policies = checks
        .filter(|spec| spec.kind == "backoff")
        .filter_map(|spec| {
            let params: backoff::Params = serde_json::from_value(spec.params.clone()).ok()?;
            (&*params.fault == fault).then(|| params.policy()).flatten()
        });
    let longest = policies.next()?.longest();
    Some(format!(
        "after `{fault}` the declared backoff may wait up to {} before it tries again",
        show::seconds(longest)
    ))
}

fn judge_one(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    fault: &Name,
    occurrence: &Occurrence,
) -> Finding {
    let help = "leave time after the fault, with load on the service";
    let Some(lift) = occurrence.lift else {
        return Finding::inconclusive(spec, format!("`{fault}` was never lifted"), help);
    };
    let watch = Aftermath::new(params, history, occurrence.path_open.unwrap_or(lift));
    let Some(observed) = watch.observed() else {
        let why = format!("no requests were seen after `{fault}`");
        return Finding::inconclusive(spec, why, help);
    };
    let bound = show::time(params.within.get());
    let course = watch.course();
    let healed = watch.healed;
    let mut finding = match course.recovered {
        Some(_) if unreplaced(history, occurrence) => Finding::inconclusive(
            spec,
            format!("no new session was seen after `{fault}`"),
            "let the service use the database, so that it needs a new connection",
        ),
        Some(at) if at.since(healed) <= params.within.get() => Finding::new(
            spec,
            Verdict::Pass,
            format!(
                "back to normal {} after `{fault}` (bound {bound})",
                show::time(at.since(healed))
            ),
        ),
        Some(at) => Finding::new(
            spec,
            Verdict::Fail,
            format!(
                "back to normal only {} after `{fault}` (bound {bound})",
                show::time(at.since(healed))
            ),
        ),
        None => undecided(params, spec, fault, &watch, &course, observed),
    };
    support(
        &mut finding,
        spec,
        (fault, occurrence),
        &watch,
        &course,
        observed,
    );
    finding
}

fn undecided(
    params: &Params,
    spec: &CheckSpec,
    fault: &str,
    watch: &Aftermath<'_>,
    course: &Course,
    observed: Duration,
) -> Finding {
    let within = params.within.get();
    let why = course.why.as_deref().unwrap_or("too little was seen");
    let late_failure = watch.failed_after(watch.healed + within);
    if !course.thin && (observed >= within + params.hold.get() || late_failure) {
        let bound = show::time(within);
        return Finding::new(
            spec,
            Verdict::Fail,
            format!("not back to normal {bound} after `{fault}`: {why}"),
        );
    }
    Finding::inconclusive(
        spec,
        format!("seen for {} after `{fault}`: {why}", show::time(observed)),
        format!(
            "leave at least {} after the fault, with {} in each {}",
            show::time(within + params.hold.get()),
            show::samples(params.min_samples),
            params.hold
        ),
    )
}

fn support(
    finding: &mut Finding,
    spec: &CheckSpec,
    (fault, occurrence): (&str, &Occurrence),
    watch: &Aftermath<'_>,
    course: &Course,
    observed: Duration,
) {
    let until = watch.healed + observed;
    let expected = format!(
        "back to normal within {}",
        show::time(watch.params.within.get())
    );
    let count = watch
        .in_window((watch.healed, until))
        .map(<[Sample]>::len)
        .sum::<usize>();
    finding.evidence.push(
        Evidence::new(finding.verdict, spec, "within", expected, &finding.summary)
            .over((watch.healed, until), count as u64),
    );
    if finding.verdict == Verdict::Fail {
        finding.help = Some(
            "reconnect by itself with a backoff whose longest delay lies below the bound, and \
             replace every connection that the fault touched"
                .to_owned(),
        );
    }
    if let Some(at) = course.recovered {
        finding.figure(
            format!("{fault}.recovery_s"),
            at.since(watch.healed).as_secs_f64(),
        );
    }
    if let Some(first) = watch.first_success() {
        let after = first.since(watch.healed);
        finding.figure(format!("{fault}.first_success_s"), after.as_secs_f64());
        finding.note(format!(
            "`{fault}`: first success {} after the path was open",
            show::time(after)
        ));
    }
    if occurrence.path_open.is_none() {
        finding.note(format!(
            "`{fault}`: no probe through the path was recorded; time counts from the lift"
        ));
    }
    if course.dipped {
        finding.note(format!("`{fault}`: well for a while, then failing again"));
    }
}

/// Whether every connection that was touched is gone and no session took its place, so that a
/// success would speak of connections that the fault never met.
fn unreplaced(history: &History, occurrence: &Occurrence) -> bool {
    let proxies: BTreeSet<&Name> = occurrence.hits.iter().map(|hit| &hit.proxy).collect();
    let victims: BTreeSet<Option<u64>> = occurrence.hits.iter().map(|hit| hit.conn).collect();
    let connections = || proxies.iter().flat_map(|proxy| history.connections(proxy));
    let speaks = connections().any(|connection| connection.ready.is_some());
    // The tear-down closes what is left.
    let outlives = |connection: &Connection| match &connection.closed {
        Some((at, _)) => *at >= history.schedule_end(),
        None => true,
    };
    let survivor = connections()
        .any(|connection| victims.contains(&Some(connection.conn)) && outlives(connection));
    let replaced = connections().any(|connection| {
        connection
            .ready
            .is_some_and(|ready| ready >= occurrence.inject)
    });
    speaks && !survivor && !replaced
}

/// The time after a fault, as the service's clients saw it.
struct Aftermath<'a> {
    params: &'a Params,
    history: &'a History,
    healed: Moment,
    sources: BTreeSet<&'a Name>,
}

/// How the time after a fault went.
struct Course {
    /// The start of the first good stretch after which there was no dip.
    recovered: Option<Moment>,
    /// Whether a good stretch was followed by a dip.
    dipped: bool,
    /// What was wrong around the bound.
    why: Option<String>,
    /// Whether there were too few observations to say more.
    thin: bool,
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
    fn new(params: &'a Params, history: &'a History, healed: Moment) -> Self {
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
    fn observed(&self) -> Option<Duration> {
        let end = self.history.end();
        let limit = self
            .history
            .next_injection(self.healed)
            .unwrap_or(end)
            .min(end);
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

    fn in_window(&self, window: (Moment, Moment)) -> impl Iterator<Item = &'a [Sample]> {
        let history = self.history;
        self.sources
            .iter()
            .map(move |source| history.samples_in(source, window))
    }

    fn first_success(&self) -> Option<Moment> {
        self.in_window((Moment::ZERO, Moment::MAX))
            .flatten()
            .filter(|sample| sample.outcome.is_ok() && sample.done >= self.healed)
            .map(|sample| sample.done)
            .min()
    }

    fn failed_after(&self, moment: Moment) -> bool {
        let next = self
            .history
            .next_injection(self.healed)
            .unwrap_or(Moment::MAX);
        self.in_window((moment, next))
            .flatten()
            .any(|sample| !sample.outcome.is_ok())
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

    fn course(&self) -> Course {
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
        let p95 = |window| {
            let samples = self.history.samples_in(source, window);
            crate::check::assertion::Metric::P95.of(samples, Duration::ZERO)
        };
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
        let source = &*assertion.source;
        let (start, end) = self.history.baseline();
        let baseline = self.history.samples_in(source, (start, end));
        let measured = assertion.measure(
            self.history.samples_in(source, window),
            self.params.hold.get(),
            assertion.metric.of(baseline, end.since(start)),
        );
        (measured.holds() != Some(true)).then(|| format!("`{source}` {measured}"))
    }
}

#[cfg(test)]
mod tests;
