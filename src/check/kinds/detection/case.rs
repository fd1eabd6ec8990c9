use std::collections::BTreeSet;
use std::time::Duration;

use super::{Params, Signal, Watched};
use crate::check::{
    CheckSpec, Connection, Evidence, Finding, History, Hit, Occurrence, Verdict, exercise, show,
};
use crate::event::{Impact, Name, Outcome, Sample};
use crate::units::Moment;

/// The check with its signals read.
pub(super) struct Case<'a> {
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
    pub(super) fn new(
        params: &'a Params,
        spec: &'a CheckSpec,
        history: &'a History,
    ) -> Result<Self, String> {
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

    pub(super) fn judge(&self, occurrence: &Occurrence) -> Finding {
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
        let verdict = verdict.unwrap_or(Verdict::Inconclusive);
        // Of signals that each suffice, one that proves nothing does not tell the time.
        let counts = |seen: &&Seen| all || seen.verdict == verdict;
        let times = seen.iter().filter(counts).filter_map(|seen| seen.at);
        let decisive = if all { times.max() } else { times.min() };
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
        let allowed = (impact, impact + self.params.within.get());
        let until = decisive.unwrap_or_else(|| self.history.lifted(occurrence));
        let times = (until.since(impact), self.params.within.get());
        exercise::excuse(&mut finding, self.history, allowed, times);
        finding
    }

    /// The first impact on a request: bytes held back, delayed or changed, or the first request
    /// after a victim was closed or turned away.
    fn impact(&self, occurrence: &Occurrence) -> Option<Moment> {
        let felt = |hit: &Hit| match hit.impact {
            Impact::Withheld | Impact::Delayed | Impact::Altered | Impact::Answered => Some(hit.at),
            Impact::Closed | Impact::Refused => {
                self.demand(hit.at, self.history.lifted(occurrence))
            }
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

    fn look(&self, watched: &Watched<'_>, occurrence: &Occurrence, impact: Moment) -> Seen {
        let deadline = impact + self.params.within.get();
        let at = self.first(watched, occurrence);
        let until = self.history.lifted(occurrence);
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
        } else if matches!(watched, Watched::Log(_))
            && let Some(why) = self.unread(occurrence)
        {
            let words = self.words(watched, at, occurrence, impact);
            return Seen {
                at,
                words: format!("{words}, but {why}"),
                verdict: Verdict::Inconclusive,
            };
        } else {
            (Verdict::Fail, "")
        };
        let words = format!("{}{reason}", self.words(watched, at, occurrence, impact));
        Seen { at, words, verdict }
    }

    /// Why the log may have said so all the same, if it may.
    fn unread(&self, occurrence: &Occurrence) -> Option<String> {
        let impact = self.impact(occurrence)?;
        let window = (occurrence.inject, impact + self.params.within.get());
        self.history.text_missing(&self.params.service, window)
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

    /// When a signal was first given, from the injection on until the first one of any fault after
    /// it was lifted: what begins beside it belongs to the same trouble.
    fn first(&self, watched: &Watched<'_>, occurrence: &Occurrence) -> Option<Moment> {
        let from = occurrence.inject;
        let next = self.history.next_injection(self.history.lifted(occurrence));
        let to = next.unwrap_or(Moment::MAX);
        let at = match watched {
            Watched::Probe(probe) => answers(self.history.samples(probe), from),
            Watched::Log(regex) => self
                .history
                .logs(&self.params.service)
                .iter()
                .find(|line| line.at >= from && regex.is_match(&line.text))
                .map(|line| line.at),
            Watched::Closes(proxy) => closes(self.history, proxy, occurrence),
        };
        at.filter(|at| *at < to)
    }

    /// Whether the signal was given before the fault already: by the last round of a probe, by a
    /// line of the log in the baseline or shortly before the injection.
    fn sounded_before(&self, watched: &Watched<'_>, occurrence: &Occurrence) -> bool {
        match watched {
            Watched::Probe(probe) => {
                let samples = self.history.samples(probe).iter();
                let last = samples
                    .filter(|sample| sample.done < occurrence.inject)
                    .max_by_key(|sample| sample.done);
                last.is_some_and(|sample| !sample.outcome.is_ok())
            }
            Watched::Log(regex) => {
                let (start, end) = self.history.baseline();
                let shortly = self.shortly_before(occurrence).max(start);
                let mut lines = self.history.logs(&self.params.service).iter();
                lines.any(|line| {
                    let quiet = (start..end).contains(&line.at) || line.at >= shortly;
                    quiet && line.at < occurrence.inject && regex.is_match(&line.text)
                })
            }
            Watched::Closes(_) => false,
        }
    }

    /// As long before the injection as the bound is after it: a line that is repeated all the time
    /// falls into both. What was said under a fault that is over may have been meant for that one.
    fn shortly_before(&self, occurrence: &Occurrence) -> Moment {
        let others = self.history.occurrences().map(|(_, one)| one);
        let over = others
            .filter(|one| one.inject < occurrence.inject)
            .filter_map(|one| one.lift.filter(|lift| *lift <= occurrence.inject))
            .max();
        let bound = self.params.within.get();
        occurrence
            .inject
            .before(bound)
            .max(over.unwrap_or_default())
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
            (Watched::Probe(probe), None)
                if self.mostly(probe, occurrence, |outcome| !outcome.is_answer()) =>
            {
                format!("`{probe}` did not answer")
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

    /// Whether most rounds of a probe under the fault got no answer in time.
    fn hung(&self, probe: &str, occurrence: &Occurrence) -> bool {
        self.mostly(probe, occurrence, |outcome| *outcome == Outcome::Timeout)
    }

    /// Whether most rounds of a probe under the fault came out so.
    fn mostly(&self, probe: &str, occurrence: &Occurrence, so: fn(&Outcome) -> bool) -> bool {
        let window = (occurrence.inject, self.history.lifted(occurrence));
        let samples = self.history.samples_in(probe, window);
        2 * samples.iter().filter(|sample| so(&sample.outcome)).count() > samples.len()
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
                show::time(self.history.lifted(occurrence).since(impact))
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
        let window = (occurrence.inject, self.history.lifted(occurrence));
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
            show::seconds(self.history.lifted(occurrence).seconds_from(zero)),
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
        let logs = self.watched.iter();
        let mut logs = logs.filter(|watched| matches!(watched, Watched::Log(_)));
        if verdict == Verdict::Inconclusive
            && logs.next().is_some()
            && self.unread(occurrence).is_some()
        {
            return exercise::UNREAD.to_owned();
        }
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
        .filter_map(|connection| {
            let hit = touched(connection)?;
            let left = connection.client_left?;
            // What follows the end of observation is no doing of the service.
            (hit..=history.end()).contains(&left).then_some(left)
        })
        .min()
}
