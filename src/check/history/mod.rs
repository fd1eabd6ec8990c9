//! A finished run, indexed once for the questions that checks ask.

mod attempts;
mod connections;
mod ending;
mod faults;
mod logs;
mod observations;
mod services;

pub use attempts::{Attempt, Attempts, Client};
pub use connections::Connection;
pub use faults::{Hit, Occurrence};
pub use logs::LogLine;
pub use services::Ended;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::metric::{Metric, Terms};
use super::{Assertion, Experiment, Measured, show, stats};
use crate::event::{Answers, Event, Fact, Fate, Name, Phase, Sample};
use crate::units::Moment;
use observations::{Edges, Observations};

/// A finished run, indexed for the questions that checks ask.
#[derive(Debug)]
pub struct History {
    facts: Arc<Facts>,
    faults: BTreeMap<Name, Vec<Occurrence>>,
    truncated: bool,
    /// Lines of the journal that are missing before others.
    missing: u64,
}

/// What does not depend on which part of a sweep is looked at.
#[derive(Debug)]
struct Facts {
    experiment: Experiment,
    events: Vec<Event>,
    bounds: ending::Bounds,
    lost: u64,
    edges: Edges,
    phases: BTreeMap<Phase, Moment>,
    /// When the last window began that was tried for the steady state.
    last_try: Option<Moment>,
    samples: BTreeMap<Name, Observations>,
    connections: BTreeMap<Name, Vec<Connection>>,
    attempts: BTreeMap<Name, Vec<Attempt>>,
    logs: logs::Logs,
    writes: BTreeMap<Name, Vec<Write>>,
    reads: BTreeMap<Name, Result<BTreeMap<String, u64>, String>>,
    jobs: BTreeMap<Name, Vec<JobPoll>>,
    queries: BTreeMap<Name, QueryRows>,
    stored: BTreeMap<Name, StoredBaseline>,
    busy: Vec<(Moment, f64)>,
}

/// What a verification query answered.
pub type QueryRows = Result<Vec<Vec<serde_json::Value>>, String>;

/// What a run compares with, and where it ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBaseline {
    /// The text of the file, or why it could not be read.
    pub text: Result<String, String>,
    /// The machine of this run.
    pub machine: BTreeMap<String, String>,
}

/// One write of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: String,
    /// When it was sent.
    pub sent: Moment,
    /// What the client knows of it.
    pub fate: Fate,
}

/// One answer to the question how a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobPoll {
    /// When.
    pub at: Moment,
    /// Items done, if the service said.
    pub progress: Option<u64>,
    /// Whether it was done.
    pub done: bool,
    /// The service's word for its state.
    pub state: Option<String>,
}

impl History {
    /// Indexes the events of a run.
    pub fn new(experiment: Experiment, events: Vec<Event>) -> Self {
        let faults = faults::index(&experiment, &events);
        let connections = connections::index(&events);
        let mut facts = Facts {
            edges: Edges::of(&faults),
            attempts: attempts::index(&connections, &events, &experiment.opaque),
            connections,
            experiment,
            bounds: ending::Bounds::default(),
            lost: 0,
            phases: BTreeMap::new(),
            last_try: None,
            samples: BTreeMap::new(),
            logs: logs::Logs::default(),
            writes: BTreeMap::new(),
            reads: BTreeMap::new(),
            jobs: BTreeMap::new(),
            queries: BTreeMap::new(),
            stored: BTreeMap::new(),
            busy: Vec::new(),
            events: Vec::new(),
        };
        for event in &events {
            facts.index(event);
        }
        let start = facts.baseline_start();
        for observations in facts.samples.values_mut() {
            observations.assign(&facts.edges, start);
        }
        facts.events = events;
        Self {
            facts: Arc::new(facts),
            faults,
            truncated: false,
            missing: 0,
        }
    }

    /// The same run, as if of the times that `fault` was in force only this one had been. Whatever
    /// else happened stays: the next injection of any fault still ends a recovery.
    #[must_use]
    pub fn narrowed(&self, fault: &str, occurrence: u32) -> Self {
        let mut faults = self.faults.clone();
        if let Some(occurrences) = faults.get_mut(fault) {
            occurrences.retain(|one| one.index == occurrence);
        }
        Self {
            facts: Arc::clone(&self.facts),
            faults,
            truncated: self.truncated,
            missing: self.missing,
        }
    }

    /// The same part of the run, as if its events had been what `change` makes of them.
    pub(super) fn as_if(&self, change: impl FnOnce(&[Event]) -> Vec<Event>) -> Self {
        let (experiment, events) = (self.experiment().clone(), change(self.events()));
        let other = Self::new(experiment, events).truncated(self.truncated);
        let mut other = other.missing(self.missing);
        for (fault, occurrences) in &mut other.faults {
            let known = self.fault(fault);
            occurrences.retain(|one| known.iter().any(|other| other.index == one.index));
        }
        other
    }

    /// Marks the journal as cut off: evidence is missing, so nothing passes.
    #[must_use]
    pub const fn truncated(mut self, truncated: bool) -> Self {
        self.truncated = truncated;
        self
    }

    /// Says how many lines the journal lacks before others: what they held may decide a check.
    #[must_use]
    pub const fn missing(mut self, lines: u64) -> Self {
        self.missing = lines;
        self
    }

    /// What was planned.
    pub fn experiment(&self) -> &Experiment {
        &self.facts.experiment
    }

    /// Every event in order.
    pub fn events(&self) -> &[Event] {
        &self.facts.events
    }

    /// Why the evidence is incomplete, if it is.
    pub fn incomplete(&self) -> Option<String> {
        if self.truncated {
            Some("the journal was cut off".to_owned())
        } else if self.missing > 0 {
            let lines = show::plural(self.missing, "line");
            Some(format!("the journal lacks {lines}"))
        } else if self.facts.lost > 0 {
            Some(format!("{} facts could not be recorded", self.facts.lost))
        } else {
            None
        }
    }

    /// Whether facts of the time that was observed are missing: what fails may fail for want of them.
    pub fn lacks_facts(&self) -> bool {
        self.facts.lost > 0 || self.missing > 0
    }

    /// Whether the end of the journal is missing.
    pub const fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// When a phase began.
    pub fn phase(&self, phase: Phase) -> Option<Moment> {
        self.facts.phases.get(&phase).copied()
    }

    /// The moment at which the steady state was confirmed and the schedule began.
    pub fn time_zero(&self) -> Moment {
        self.facts.time_zero()
    }

    /// From the beginning of the steady state to the first injection of any fault after it; what
    /// was in force before belongs to the steady state. Windows in which it was refused do not.
    pub fn baseline(&self) -> (Moment, Moment) {
        let start = self.facts.baseline_start();
        let first = self.next_injection(start);
        (start, first.unwrap_or_else(|| self.schedule_end()))
    }

    /// From the first injection of a fault to its last lift. One that acts at once has at least the
    /// requests that it found under way.
    pub fn fault_window(&self, fault: &str) -> Option<(Moment, Moment)> {
        let occurrences = self.fault(fault);
        let from = occurrences.iter().map(|one| one.inject).min()?;
        let to = occurrences.iter().map(|one| self.lifted(one)).max()?;
        Some((from, to.max(from + Duration::from_nanos(1))))
    }

    /// From the last lift of a fault to the next injection of any fault, or to the end of the
    /// schedule.
    pub fn recovery_window(&self, fault: &str) -> Option<(Moment, Moment)> {
        let (_, lift) = self.fault_window(fault)?;
        Some((
            lift,
            self.next_injection(lift).unwrap_or(self.schedule_end()),
        ))
    }

    /// The first injection of any fault at or after `moment`.
    pub fn next_injection(&self, moment: Moment) -> Option<Moment> {
        self.facts.edges.next_injection(moment)
    }

    /// Each time that a fault was in force, in order.
    pub fn fault(&self, fault: &str) -> &[Occurrence] {
        self.faults.get(fault).map_or(&[], Vec::as_slice)
    }

    /// Each time that any fault was in force, with its name.
    pub fn occurrences(&self) -> impl Iterator<Item = (&Name, &Occurrence)> {
        let faults = self.faults.iter();
        faults.flat_map(|(name, all)| all.iter().map(move |one| (name, one)))
    }

    /// How many connections a fault must touch each time to count as exercised.
    pub fn min_hits(&self, fault: &str) -> u64 {
        let faults = &self.facts.experiment.faults;
        let brief = faults.iter().find(|brief| &*brief.name == fault);
        brief.map_or(1, |brief| brief.min_hits)
    }

    /// The observations of a workload or probe, by their intended moment.
    pub fn samples(&self, source: &str) -> &[Sample] {
        let observations = self.facts.samples.get(source);
        observations.map_or(&[], Observations::all)
    }

    /// Those that belong to a window: intended in it, or under way when a fault was injected in it
    /// (see `Observations::assign`).
    pub fn samples_in(&self, source: &str, window: (Moment, Moment)) -> &[Sample] {
        let observations = self.facts.samples.get(source);
        observations.map_or(&[], |observations| observations.within(window))
    }

    /// The value of a metric of a workload or probe in a window; latencies are those of good answers.
    pub fn figure(&self, metric: Metric, source: &str, window: (Moment, Moment)) -> Option<f64> {
        self.figure_of(metric, Answers::Good, source, window)
    }

    /// The same; latencies are those of the answers `of`.
    fn figure_of(
        &self,
        metric: Metric,
        of: Answers,
        source: &str,
        window: (Moment, Moment),
    ) -> Option<f64> {
        let terms = self.terms(source, window, of);
        metric.of(self.samples_in(source, window), terms)
    }

    /// Measures an assertion in a window, and the baseline that it may be compared with.
    pub fn measure(
        &self,
        assertion: &Assertion,
        of: Answers,
        window: (Moment, Moment),
    ) -> Measured {
        let samples = self.samples_in(&assertion.source, window);
        self.measure_of(assertion, of, samples, window)
    }

    /// The same of other observations of its source.
    pub fn measure_of<'a>(
        &self,
        assertion: &Assertion,
        of: Answers,
        samples: impl IntoIterator<Item = &'a Sample>,
        window: (Moment, Moment),
    ) -> Measured {
        let source = &*assertion.source;
        let measured = assertion.measure(
            samples,
            self.terms(source, window, of),
            self.figure_of(assertion.metric, of, source, self.baseline()),
        );
        Measured {
            partial: self.partial(source, window),
            ..measured
        }
    }

    /// Whether there may have been more observations than were seen: of a probe that reads a log,
    /// which alone observes at no intervals of its own.
    fn partial(&self, source: &str, window: (Moment, Moment)) -> bool {
        let brief = self.experiment().sources.get(source);
        let logs = brief.filter(|brief| brief.interval.is_none());
        logs.is_some_and(|brief| self.text_missing(&brief.service, window).is_some())
    }

    fn terms(&self, source: &str, (from, to): (Moment, Moment), of: Answers) -> Terms {
        Terms {
            length: to.since(from),
            deadline: self.experiment().deadline(source),
            of,
        }
    }

    /// The workloads and probes that talk to a service.
    pub fn sources_of(&self, service: &str) -> impl Iterator<Item = &Name> {
        self.facts
            .experiment
            .sources
            .iter()
            .filter(move |(_, brief)| &*brief.service == service)
            .map(|(name, _)| name)
    }

    /// The connections of clients at a proxy, in order of acceptance; our own probes are left out.
    pub fn connections(&self, proxy: &str) -> &[Connection] {
        self.facts.connections.get(proxy).map_or(&[], Vec::as_slice)
    }

    /// The attempts of clients to get a session at a proxy, in order.
    pub fn attempts(&self, proxy: &str) -> &[Attempt] {
        self.facts.attempts.get(proxy).map_or(&[], Vec::as_slice)
    }

    /// The writes of a ledger.
    pub fn writes(&self, ledger: &str) -> &[Write] {
        self.facts.writes.get(ledger).map_or(&[], Vec::as_slice)
    }

    /// The last read-back of a ledger.
    pub fn ledger_read(&self, ledger: &str) -> Option<&Result<BTreeMap<String, u64>, String>> {
        self.facts.reads.get(ledger)
    }

    /// What was learnt of a job, in order.
    pub fn job(&self, workload: &str) -> &[JobPoll] {
        self.facts.jobs.get(workload).map_or(&[], Vec::as_slice)
    }

    /// The answer to a check's verification query.
    pub fn query(&self, check: &str) -> Option<&QueryRows> {
        self.facts.queries.get(check)
    }

    /// What a check compares with.
    pub fn stored_baseline(&self, check: &str) -> Option<&StoredBaseline> {
        self.facts.stored.get(check)
    }

    /// How busy the machine was: the median share of a window's seconds.
    pub fn busy(&self, (from, to): (Moment, Moment)) -> Option<f64> {
        let mut shares: Vec<f64> = self
            .facts
            .busy
            .iter()
            .filter(|(at, _)| *at >= from && *at <= to + Duration::from_secs(1))
            .map(|(_, share)| *share)
            .collect();
        shares.sort_unstable_by(f64::total_cmp);
        stats::quantile(&shares, 0.5)
    }

    /// How busy the machine was from when to when, about each second of the run.
    pub fn busy_times(&self) -> impl Iterator<Item = ((Moment, Moment), f64)> {
        let mut before = None;
        self.facts.busy.iter().map(move |(at, share)| {
            let from = before.replace(*at);
            let from = from.unwrap_or_else(|| at.before(Duration::from_secs(1)));
            ((from, *at), *share)
        })
    }

    /// How late the observations of a source were sent: the 99th percentile.
    pub fn lateness(&self, source: &str, window: (Moment, Moment)) -> Option<Duration> {
        let mut late: Vec<f64> = self
            .samples_in(source, window)
            .iter()
            .map(|sample| sample.lateness().as_secs_f64())
            .collect();
        late.sort_unstable_by(f64::total_cmp);
        stats::quantile(&late, 0.99).map(Duration::from_secs_f64)
    }
}

impl Facts {
    fn time_zero(&self) -> Moment {
        let zero = self.phases.get(&Phase::Experiment);
        zero.copied().unwrap_or_default()
    }

    fn baseline_start(&self) -> Moment {
        self.last_try.unwrap_or_else(|| self.time_zero())
    }

    fn index(&mut self, event: &Event) {
        let at = event.at;
        self.bounds.see(event);
        match &event.fact {
            Fact::Phase { phase } => {
                self.phases.entry(*phase).or_insert(at);
                if *phase == Phase::SteadyState {
                    self.last_try = self.last_try.max(Some(at));
                }
            }
            Fact::Sample(sample) => {
                let source = self.samples.entry(sample.source.clone()).or_default();
                source.push(sample.clone());
            }
            Fact::LedgerWrite {
                ledger,
                key,
                sent,
                fate,
            } => self.writes.entry(ledger.clone()).or_default().push(Write {
                key: key.clone(),
                sent: *sent,
                fate: *fate,
            }),
            Fact::LedgerRead { ledger, rows } => {
                self.reads.insert(ledger.clone(), rows.clone());
            }
            Fact::JobStatus {
                workload,
                progress,
                done,
                state,
                ..
            } => self
                .jobs
                .entry(workload.clone())
                .or_default()
                .push(JobPoll {
                    at,
                    progress: *progress,
                    done: *done,
                    state: state.clone(),
                }),
            Fact::Query { check, rows } => {
                self.queries.insert(check.clone(), rows.clone());
            }
            Fact::StoredBaseline {
                check,
                text,
                machine,
            } => {
                let (text, machine) = (text.clone(), machine.clone());
                self.stored
                    .insert(check.clone(), StoredBaseline { text, machine });
            }
            Fact::Log {
                service, line, cut, ..
            } => {
                let (text, cut) = (line.clone(), *cut);
                let lines = self.logs.lines.entry(service.clone()).or_default();
                lines.push(LogLine { at, text, cut });
            }
            Fact::LogGap(gap) => {
                let gaps = self.logs.gaps.entry(gap.service.clone()).or_default();
                gaps.push(gap.clone());
            }
            Fact::Machine { busy } => self.busy.push((at, *busy)),
            Fact::Lost { count } => self.lost = self.lost.max(*count),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
