//! Whether a service is back to normal in time.

mod aftermath;
mod disturbed;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::kinds::backoff;
use crate::check::{
    About, Assertion, Check, CheckSpec, Connection, Evidence, Finding, History, Lint, Names,
    Occurrence, Outlook, Verdict, exercise, lint, show,
};
use crate::event::{Answers, Name, Sample};
use crate::units::{Moment, Period};
use aftermath::{Aftermath, Course};

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

    fn about(params: &Params) -> About {
        About::EachTime(params.fault.0.clone())
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::faults(&params.fault.0, outlook);
        found.extend(lint::assertions(&params.that, Answers::Good, outlook));
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
            // What did not come back the first time is not there to be touched the next time.
            let touched = |one: &&Occurrence| one.hits.len() as u64 >= history.min_hits(fault);
            for occurrence in history.fault(fault).iter().filter(touched) {
                parts.push(judge_one(params, spec, history, fault, occurrence));
            }
        }
        let mut finding = Finding::worst_of(parts).expect("one time at least touched enough");
        for fault in &params.fault.0 {
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

const HELP: &str = "leave time after the fault, with load on the service";

fn judge_one(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    fault: &Name,
    occurrence: &Occurrence,
) -> Finding {
    let Some(lift) = occurrence.lift else {
        return Finding::inconclusive(spec, format!("`{fault}` was never lifted"), HELP);
    };
    let healed = occurrence.path_open.unwrap_or(lift);
    let judged = |healed| judge_from(params, spec, history, (fault, occurrence), healed);
    let finding = judged(healed);
    match still_in_force(history, healed) {
        // What failed counts only if it fails as well from when the other fault was gone.
        Some((other, gone))
            if finding.verdict == Verdict::Fail && judged(gone).verdict != Verdict::Fail =>
        {
            let why = format!("`{other}` was still in force when `{fault}` was gone");
            Finding::inconclusive(spec, why, HELP)
        }
        _ => finding,
    }
}

/// The fault among those in force at `moment` that was the last to go, and when that was.
fn still_in_force(history: &History, moment: Moment) -> Option<(&Name, Moment)> {
    history
        .occurrences()
        .filter(|(_, one)| one.inject < moment)
        .map(|(name, one)| (name, history.lifted(one)))
        .filter(|(_, gone)| *gone > moment)
        .max_by_key(|(_, gone)| *gone)
}

/// As if the path had been whole since `healed`.
fn judge_from(
    params: &Params,
    spec: &CheckSpec,
    history: &History,
    (fault, occurrence): (&Name, &Occurrence),
    healed: Moment,
) -> Finding {
    let watch = Aftermath::new(params, history, healed);
    let Some(observed) = watch.observed() else {
        let why = format!("no requests were seen after `{fault}`");
        return Finding::inconclusive(spec, why, HELP);
    };
    let bound = show::time(params.within.get());
    let course = watch.course();
    let within = params.within.get();
    let in_time = |at: Moment| at.since(healed) <= within;
    let mut finding = match (course.recovered, course.at_best) {
        (Some(_), _) if unreplaced(history, occurrence) => Finding::inconclusive(
            spec,
            format!("no new session was seen after `{fault}`"),
            "let the service use the database, so that it needs a new connection",
        ),
        (Some(at), _) if in_time(at) => Finding::new(
            spec,
            Verdict::Pass,
            format!(
                "back to normal {} after `{fault}` (bound {bound})",
                show::time(at.since(healed))
            ),
        ),
        (_, Some(at)) if in_time(at) => Finding::inconclusive(
            spec,
            format!(
                "not shown to be back to normal {bound} after `{fault}`: {}, but {}",
                watch.reason(&course),
                course.machine.as_deref().unwrap_or_default()
            ),
            exercise::STARVED,
        ),
        (Some(at), _) => Finding::new(
            spec,
            Verdict::Fail,
            format!(
                "back to normal only {} after `{fault}` (bound {bound}){}: {}",
                show::time(at.since(healed)),
                watch.answered_before(at),
                watch.reason(&course)
            ),
        ),
        (None, _) => undecided(params, spec, fault, &watch, &course, observed),
    };
    support(
        &mut finding,
        spec,
        (fault, occurrence),
        &watch,
        &course,
        observed,
    );
    let allowed = (healed, healed + params.within.get() + params.hold.get());
    let took = course.recovered.map_or(observed, |at| at.since(healed));
    let times = (took, params.within.get());
    exercise::excuse(&mut finding, history, allowed, times);
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
    let why = watch.reason(course);
    let late_failure = watch.failed_after(watch.healed + within);
    if course.seen && (observed >= within + params.hold.get() || late_failure) {
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
            .over((watch.healed, until), count as u64)
            .of(watch.sources()),
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
    if let Some((at, _)) = course.dip {
        let after = at.since(watch.healed);
        finding.figure(format!("{fault}.dip_at_s"), after.as_secs_f64());
        finding.note(format!("`{fault}`: {}", watch.reason(course)));
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

#[cfg(test)]
mod tests;
