//! Whether a service notices a fault in time, and shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::check::{
    Check, CheckSpec, Connection, Evidence, Finding, History, Hit, Lint, Occurrence, Outlook,
    Verdict, exercise, lint, show,
};
use crate::event::{ClosedBy, Impact, Name, Outcome, Sample};
use crate::units::{Moment, Period};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Detection;

/// Parameters of a detection check. One of `all_of` and `any_of` is needed.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The service that must notice.
    pub service: Name,
    /// The fault that it must notice.
    pub fault: Name,
    /// The time that it has, from the first impact on a request.
    pub within: Period,
    /// Signals that must all be given in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub all_of: Vec<Signal>,
    /// Signals of which one must be given in time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub any_of: Vec<Signal>,
}

/// A way of showing that the fault was noticed: exactly one of `probe`, `log` and `closes`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Signal {
    /// A probe that is answered, and not as wanted. One that gets no answer shows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Name>,
    /// What the probe must be answered. Default `not_ok`, the only value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<Answer>,
    /// A regular expression that a line of the log of the service matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// A proxy at which the service closes a connection that the fault touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Name>,
}

/// What a probe must be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// An answer that is not what the probe calls ok.
    NotOk,
}

impl Check for Detection {
    const TYPE: &'static str = "detection";
    const SUMMARY: &'static str = "the service notices the fault in time and says so";
    type Params = Params;

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found: Vec<Lint> = lint::fault("fault", &params.fault, outlook)
            .into_iter()
            .collect();
        let (key, signals) = params.signals();
        if params.all_of.is_empty() == params.any_of.is_empty() {
            found.push(Lint::error(
                key,
                "a detection check needs either `all_of` or `any_of`",
                "no signal to wait for",
                "write for example `all_of = [{ probe = \"NAME\", answers = \"not_ok\" }]`",
            ));
        }
        for (index, signal) in signals.iter().enumerate() {
            found.extend(lint_signal(
                &format!("{key}[{index}]"),
                signal,
                params,
                outlook,
            ));
        }
        if let Some(length) = lint::shortest(&params.fault, outlook)
            && length <= params.within.get()
        {
            found.push(Lint::warning(
                "within",
                format!(
                    "the check cannot fail: the fault lasts only {}",
                    show::time(length)
                ),
                "not below the length of the fault",
                "let the fault last longer than the bound and one probe period",
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        if let Some(why) = exercise::missing(history, &params.fault) {
            return Finding::inconclusive(spec, why, exercise::NO_VICTIMS);
        }
        let case = match Case::new(params, spec, history) {
            Ok(case) => case,
            Err(why) => {
                return Finding::inconclusive(spec, why, "mend the signals of the check");
            }
        };
        let occurrences = history.fault(&params.fault);
        let parts = occurrences.iter().map(|one| case.judge(one)).collect();
        Finding::worst_of(parts).map_or_else(
            || Finding::inconclusive(spec, "nothing to judge", exercise::NO_VICTIMS),
            |mut finding| {
                finding.note(exercise::victims(history, &params.fault));
                finding
            },
        )
    }
}

fn lint_signal(key: &str, signal: &Signal, params: &Params, outlook: &Outlook) -> Vec<Lint> {
    let mut found = Vec::new();
    if let Err(why) = signal.watched() {
        let help =
            "write exactly one of `probe`, `log` and `closes`, `log` as a regular expression";
        found.push(Lint::error(key, why, "not a signal", help));
    }
    let Some(probe) = &signal.probe else {
        return found;
    };
    found.extend(lint::source(key, probe, outlook));
    let every = outlook.sources.get(probe).and_then(|brief| brief.interval);
    if let Some(every) = every.filter(|every| *every * 10 > params.within.get()) {
        found.push(Lint::warning(
            key,
            format!("`{probe}` looks only each {}", show::time(every)),
            "too coarse for the bound",
            "let it look ten times within the bound",
        ));
    }
    found
}

impl Params {
    /// The signals with the key that they stand under.
    fn signals(&self) -> (&'static str, &[Signal]) {
        if self.all_of.is_empty() {
            ("any_of", &self.any_of)
        } else {
            ("all_of", &self.all_of)
        }
    }
}

/// A signal, ready to be looked for.
enum Watched<'a> {
    Probe(&'a Name),
    Log(Regex),
    Closes(&'a Name),
}

impl Signal {
    fn watched(&self) -> Result<Watched<'_>, String> {
        match (&self.probe, &self.log, &self.closes) {
            (Some(probe), None, None) => Ok(Watched::Probe(probe)),
            (None, Some(log), None) if self.answers.is_none() => Regex::new(log)
                .map(Watched::Log)
                .map_err(|_| format!("`{log}` is not a regular expression")),
            (None, None, Some(proxy)) if self.answers.is_none() => Ok(Watched::Closes(proxy)),
            (None, _, _) if self.answers.is_some() => Err("`answers` belongs to a probe".into()),
            _ => Err("a signal is one of `probe`, `log` and `closes`".into()),
        }
    }
}

/// The check with its signals read.
struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    watched: Vec<Watched<'a>>,
}

/// What became of one signal.
struct Seen {
    at: Option<Moment>,
    /// In words, for a summary: `` `codebase-health` hung ``.
    words: String,
    verdict: Verdict,
}

impl<'a> Case<'a> {
    fn new(params: &'a Params, spec: &'a CheckSpec, history: &'a History) -> Result<Self, String> {
        let (_, signals) = params.signals();
        let watched: Vec<_> = signals
            .iter()
            .map(Signal::watched)
            .collect::<Result<_, _>>()?;
        if watched.is_empty() {
            return Err("no signal to wait for".to_owned());
        }
        Ok(Self {
            params,
            spec,
            history,
            watched,
        })
    }

    fn judge(&self, occurrence: &Occurrence) -> Finding {
        let Some(impact) = self.impact(occurrence) else {
            return Finding::inconclusive(
                self.spec,
                format!(
                    "no request reached `{}` under the fault",
                    self.params.service
                ),
                "add a workload on the service, so that the fault is felt",
            );
        };
        let seen: Vec<Seen> = self
            .watched
            .iter()
            .map(|watched| self.look(watched, occurrence, impact))
            .collect();
        let all = !self.params.all_of.is_empty();
        let verdicts = seen.iter().map(|seen| seen.verdict);
        let verdict = if all { verdicts.max() } else { verdicts.min() };
        let times = seen.iter().filter_map(|seen| seen.at);
        let decisive = if all { times.max() } else { times.min() };
        let verdict = verdict.unwrap_or(Verdict::Inconclusive);
        let mut finding = Finding::new(
            self.spec,
            verdict,
            self.summary(
                verdict,
                &seen,
                decisive.map(|at| at.since(impact)),
                impact,
                occurrence,
            ),
        );
        self.support(&mut finding, &seen, impact, occurrence);
        if let Some(at) = decisive {
            finding.figure("detection_s", at.since(impact).as_secs_f64());
        }
        if verdict != Verdict::Pass {
            finding.help = Some(self.help(verdict, occurrence));
        }
        finding
    }

    /// The first impact on a request: bytes held back, delayed or changed, or the first request
    /// after a victim was closed or turned away.
    fn impact(&self, occurrence: &Occurrence) -> Option<Moment> {
        let felt = |hit: &Hit| match hit.impact {
            Impact::Withheld | Impact::Delayed | Impact::Altered => Some(hit.at),
            Impact::Closed | Impact::Refused => self.demand(hit.at, self.until(occurrence)),
        };
        occurrence.hits.iter().filter_map(felt).min()
    }

    /// When the service was first asked for something from `from` on; the probes that are signals
    /// only watch.
    fn demand(&self, from: Moment, to: Moment) -> Option<Moment> {
        let watching = |name: &Name| {
            let mut watched = self.watched.iter();
            watched.any(|watched| matches!(watched, Watched::Probe(probe) if *probe == name))
        };
        let sources = self.history.sources_of(&self.params.service);
        sources
            .filter(|name| !watching(name))
            .flat_map(|name| self.history.samples(name))
            .filter(|sample| sample.done >= from && sample.intended <= to)
            .map(|sample| sample.intended.max(from))
            .min()
    }

    /// The end of what can be observed of an occurrence.
    fn until(&self, occurrence: &Occurrence) -> Moment {
        self.history.lifted(occurrence).min(self.history.end())
    }

    fn look(&self, watched: &Watched<'_>, occurrence: &Occurrence, impact: Moment) -> Seen {
        let deadline = impact + self.params.within.get();
        let at = self.first(watched, occurrence);
        let until = self.until(occurrence);
        let period = match watched {
            Watched::Probe(probe) => self.interval(probe),
            Watched::Log(_) | Watched::Closes(_) => Duration::ZERO,
        };
        let (verdict, reason) = if at.is_some_and(|at| at <= deadline) {
            if self.sounded_before(watched, occurrence) {
                (Verdict::Inconclusive, ", as before the fault")
            } else {
                (Verdict::Pass, "")
            }
        } else if until < deadline + period {
            (Verdict::Inconclusive, " before the fault was lifted")
        } else if self.demand(impact, deadline).is_none() || self.idle(watched, impact, deadline) {
            (Verdict::Inconclusive, ", and nothing was asked")
        } else {
            (Verdict::Fail, "")
        };
        let words = format!("{}{reason}", self.words(watched, at, occurrence, impact));
        Seen { at, words, verdict }
    }

    fn interval(&self, probe: &str) -> Duration {
        let brief = self.history.experiment().sources.get(probe);
        brief.and_then(|brief| brief.interval).unwrap_or_default()
    }

    /// Whether a probe that should have watched did not.
    fn idle(&self, watched: &Watched<'_>, from: Moment, to: Moment) -> bool {
        matches!(watched, Watched::Probe(probe)
            if self.history.samples_in(probe, (from, to)).is_empty())
    }

    /// When a signal was first given, from the injection on until the next one of any fault.
    fn first(&self, watched: &Watched<'_>, occurrence: &Occurrence) -> Option<Moment> {
        let from = occurrence.inject;
        let next = self.history.next_injection(from + Duration::from_nanos(1));
        let to = next.unwrap_or(Moment::MAX);
        let at = match watched {
            Watched::Probe(probe) => answers(self.history.samples(probe), from),
            Watched::Log(regex) => self
                .history
                .logs(&self.params.service)
                .iter()
                .find(|(at, line)| *at >= from && regex.is_match(line))
                .map(|(at, _)| *at),
            Watched::Closes(proxy) => closes(self.history, proxy, occurrence),
        };
        at.filter(|at| *at < to)
    }

    /// Whether the last round of a probe before the fault gave the signal already.
    fn sounded_before(&self, watched: &Watched<'_>, occurrence: &Occurrence) -> bool {
        let Watched::Probe(probe) = watched else {
            return false;
        };
        let samples = self.history.samples(probe).iter();
        let last = samples
            .filter(|sample| sample.done < occurrence.inject)
            .max_by_key(|sample| sample.done);
        last.is_some_and(|sample| matches!(sample.outcome, Outcome::NotOk { .. }))
    }

    fn words(
        &self,
        watched: &Watched<'_>,
        at: Option<Moment>,
        occurrence: &Occurrence,
        impact: Moment,
    ) -> String {
        let after = at.map(|at| show::time(at.since(impact)));
        match (watched, after) {
            (Watched::Probe(probe), Some(after)) => format!("`{probe}` not ok after {after}"),
            (Watched::Probe(probe), None) if self.hung(probe, occurrence) => {
                format!("`{probe}` hung")
            }
            (Watched::Probe(probe), None) => format!("`{probe}` never said so"),
            (Watched::Log(_), Some(after)) => format!("the log said so after {after}"),
            (Watched::Log(_), None) => "the log stayed silent".to_owned(),
            (Watched::Closes(proxy), Some(after)) => {
                format!("a touched connection at `{proxy}` was closed after {after}")
            }
            (Watched::Closes(proxy), None) => {
                format!("no touched connection at `{proxy}` was closed")
            }
        }
    }

    /// Whether most rounds of a probe under the fault got no answer.
    fn hung(&self, probe: &str, occurrence: &Occurrence) -> bool {
        let window = (occurrence.inject, self.until(occurrence));
        let samples = self.history.samples_in(probe, window);
        let silent = |sample: &&Sample| matches!(sample.outcome, Outcome::Timeout);
        2 * samples.iter().filter(silent).count() > samples.len()
    }

    fn summary(
        &self,
        verdict: Verdict,
        seen: &[Seen],
        after: Option<Duration>,
        impact: Moment,
        occurrence: &Occurrence,
    ) -> String {
        let bound = show::time(self.params.within.get());
        let words: Vec<&str> = seen.iter().map(|seen| seen.words.as_str()).collect();
        let words = words.join(", ");
        match (verdict, after) {
            (Verdict::Pass, Some(after)) => {
                format!("detected after {} (bound {bound})", show::time(after))
            }
            (Verdict::Fail, _) => {
                format!("not detected within {bound} of the first impact: {words}")
            }
            _ => format!(
                "undecided after {} under the fault (bound {bound}): {words}",
                show::time(self.until(occurrence).since(impact))
            ),
        }
    }

    fn support(
        &self,
        finding: &mut Finding,
        seen: &[Seen],
        impact: Moment,
        occurrence: &Occurrence,
    ) {
        let (key, _) = self.params.signals();
        let window = (occurrence.inject, self.until(occurrence));
        for (index, seen) in seen.iter().enumerate() {
            let expected = format!("a signal within {}", show::time(self.params.within.get()));
            let key = match seen.verdict {
                Verdict::Fail => "within".to_owned(),
                _ => format!("{key}[{index}]"),
            };
            let evidence = Evidence::new(seen.verdict, self.spec, &key, expected, &seen.words);
            finding.evidence.push(evidence.over(window, 1));
            if let Some(at) = seen.at {
                finding.figure(format!("signal_{index}_s"), at.since(impact).as_secs_f64());
            }
        }
        finding
            .evidence
            .sort_by_key(|evidence| std::cmp::Reverse(evidence.verdict));
        let zero = self.history.time_zero();
        finding.note(format!(
            "fault `{}`: in force from {} to {}, first impact at {}",
            self.params.fault,
            show::seconds(occurrence.inject.seconds_from(zero)),
            show::seconds(self.until(occurrence).seconds_from(zero)),
            show::seconds(impact.seconds_from(zero)),
        ));
        finding.figure(
            "impact_after_injection_s",
            impact.since(occurrence.inject).as_secs_f64(),
        );
        self.aside(finding, impact, occurrence);
    }

    /// Signals that were not asked for, and what the baseline already showed.
    fn aside(&self, finding: &mut Finding, impact: Moment, occurrence: &Occurrence) {
        for name in self.history.sources_of(&self.params.service) {
            let baseline = self.history.samples_in(name, self.history.baseline());
            let errors = baseline
                .iter()
                .filter(|sample| !sample.outcome.is_ok())
                .count();
            if errors > 0 {
                let share = errors as f64 / baseline.len() as f64;
                finding.note(format!(
                    "`{name}` failed {} of the baseline",
                    show::percent(share)
                ));
            }
            if let Some(at) = answers(self.history.samples(name), occurrence.inject) {
                let after = show::time(at.since(impact));
                finding.note(format!("`{name}` first answered not ok after {after}"));
            }
        }
        let proxies: BTreeSet<&Name> = occurrence.hits.iter().map(|hit| &hit.proxy).collect();
        for proxy in proxies {
            if let Some(at) = closes(self.history, proxy, occurrence) {
                let after = show::time(at.since(impact));
                finding.note(format!(
                    "a victim at `{proxy}` was first closed after {after}"
                ));
            }
        }
    }

    fn help(&self, verdict: Verdict, occurrence: &Occurrence) -> String {
        if verdict == Verdict::Inconclusive {
            return "let the fault last longer than the bound and one probe period, under load"
                .to_owned();
        }
        let bound = self.params.within;
        let mut sources = self.history.sources_of(&self.params.service);
        if sources.any(|name| self.hung(name, occurrence)) {
            format!(
                "requests hang until the database answers; give each query a client-side \
                 deadline below {}",
                show::time(bound.get())
            )
        } else {
            "notice the loss where it happens, log it, and say so on the health endpoint".to_owned()
        }
    }
}

/// When a source was first answered, and not as wanted, from `from` on.
fn answers(samples: &[Sample], from: Moment) -> Option<Moment> {
    samples
        .iter()
        .filter(|sample| sample.done >= from && matches!(sample.outcome, Outcome::NotOk { .. }))
        .map(|sample| sample.done)
        .min()
}

/// When the client first closed a connection that the fault had touched. Opening another one is
/// growth of a pool, not detection.
fn closes(history: &History, proxy: &str, occurrence: &Occurrence) -> Option<Moment> {
    let touched = |connection: &Connection| {
        let mut hits = occurrence.hits.iter();
        hits.find(|hit| &*hit.proxy == proxy && hit.conn == Some(connection.conn))
            .map(|hit| hit.at)
    };
    history
        .connections(proxy)
        .iter()
        .filter(|connection| !connection.is_cancel())
        .filter_map(
            |connection| match (&connection.closed, touched(connection)) {
                (Some((at, ClosedBy::Client)), Some(hit)) if *at >= hit => Some(*at),
                _ => None,
            },
        )
        .min()
}
