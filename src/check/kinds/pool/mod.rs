//! Whether a pool of connections keeps to its size, comes back to it after a fault, and loses none.

mod level;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::check::{
    About, Check, CheckSpec, Connection, Evidence, Finding, History, Lint, Names, Occurrence,
    Outlook, Verdict, lint, show,
};
use crate::event::{Impact, Name, Startup};
use crate::units::{Moment, Period};
use level::Level;

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Pool;

/// Parameters of a pool check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The proxy through which the pool connects.
    pub proxy: Name,
    /// The most sessions that the pool may have, as declared; several processes together.
    pub max: u64,
    /// Sessions beyond `max` that may exist for a moment, while one replaces another. Default 1.
    #[serde(default = "one")]
    pub overlap: u64,
    /// How long there may be more sessions than `max` without a break. Default 1s.
    #[serde(default = "one_second")]
    pub overlap_for: Period,
    /// Only sessions with this application name count. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// The fault or faults after which the pool must be as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<Names>,
    /// The sessions that it must have again after each fault. Default: none; a pool that connects on
    /// demand keeps no level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// The time that it has for that once the path is open again. Default 10s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
    /// The time after which, counted from the same moment, it may have no more sessions than at
    /// most in the baseline, or than `min`. Write at least twice the pool's idle timeout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leak: Option<Period>,
}

const fn one() -> u64 {
    1
}

const fn one_second() -> Period {
    Period::from_secs(1)
}

/// How long a pool has to refill if nothing else is said.
const WITHIN: Duration = Duration::from_secs(10);

/// How long after a stall the attempts that a client gave up under it may come to an end.
const AFTERMATH: Duration = Duration::from_secs(1);

impl Check for Pool {
    const TYPE: &'static str = "pool";
    const SUMMARY: &'static str =
        "a pool keeps to its size, refills after a fault, and leaks nothing";
    type Params = Params;

    fn about(params: &Params) -> About {
        match &params.fault {
            Some(faults) => About::Faults(faults.0.clone()),
            None => About::Run,
        }
    }

    fn met_by_silence(_params: &Params) -> bool {
        true
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let named = params.fault.as_ref().map_or(&[][..], |names| &names.0);
        let mut found = lint::faults(named, outlook);
        let after = [
            ("min", params.min.is_some()),
            ("leak", params.leak.is_some()),
        ];
        for (key, _) in after.iter().filter(|(_, given)| *given && named.is_empty()) {
            found.push(Lint::error(
                *key,
                "there is no fault to recover from",
                "has no effect",
                "add `fault = \"NAME\"`",
            ));
        }
        if outlook.opaque.contains(&params.proxy) {
            found.push(Lint::error(
                "proxy",
                format!("the check cannot pass: `{}` sees no sessions", params.proxy),
                "its `protocol` is `tcp`",
                "write `protocol = \"postgres\"` in the proxy",
            ));
        }
        if params.within.is_some() && params.min.is_none() {
            found.push(Lint::error(
                "within",
                "no number of sessions is demanded",
                "has no effect",
                "add `min`, the sessions that the pool must have again",
            ));
        }
        if params.min == Some(0) {
            found.push(Lint::error(
                "min",
                "no session is demanded",
                "has no effect",
                "remove it: without `min` the level is reported and not judged",
            ));
        }
        if params.min.is_some_and(|min| min > params.max) {
            found.push(Lint::error(
                "min",
                "a pool cannot have more sessions than its maximum",
                "more than `max`",
                "lower `min`",
            ));
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        let faults = params.fault.as_ref().map_or(&[][..], |names| &names.0);
        let level = Level::of(sessions(params, history));
        if level.most((Moment::ZERO, history.end())).1 == 0 {
            return Finding::inconclusive(
                spec,
                format!("no session was seen at `{}`", params.proxy),
                "let the service connect through the proxy, with `protocol = \"postgres\"` and \
                 without TLS, so that sessions can be told from connections",
            );
        }
        let case = Case {
            params,
            spec,
            history,
            level,
        };
        let mut finding = Finding::new(spec, Verdict::Pass, "");
        case.keeps_to_its_size(&mut finding);
        for fault in faults {
            for occurrence in history.fault(fault) {
                case.comes_back(fault, occurrence, &mut finding);
            }
        }
        finding.decide();
        advise(&mut finding);
        finding
    }
}

/// When each session existed for its client. While a stall holds the end of a session back, its
/// client may have given it up long ago; nor is an attempt that was given up a session.
fn sessions(params: &Params, history: &History) -> Vec<(Moment, Moment)> {
    let named = |connection: &&Connection| {
        params.application.as_ref().is_none_or(|wanted| {
            connection.startup.iter().any(|(_, packet)| {
                matches!(packet, Startup::Session { application_name, .. }
                    if application_name == wanted)
            })
        })
    };
    let mut spans = Vec::new();
    for connection in history.connections(&params.proxy).iter().filter(named) {
        let Some(mut from) = connection.ready else {
            continue;
        };
        let to = connection.left().unwrap_or(Moment::MAX);
        for (hit, healed) in stalls(history, &params.proxy, connection.conn) {
            if from < hit {
                spans.push((from, hit.min(to)));
            }
            from = from.max(healed + AFTERMATH);
        }
        if from < to {
            spans.push((from, to));
        }
    }
    spans
}

/// From when to when bytes of a connection were withheld, in order.
fn stalls(history: &History, proxy: &str, conn: u64) -> Vec<(Moment, Moment)> {
    let mut stalls: Vec<(Moment, Moment)> = history
        .occurrences()
        .filter_map(|(_, occurrence)| {
            let hit = occurrence.hits.iter().find(|hit| {
                hit.impact == Impact::Withheld && hit.conn == Some(conn) && &*hit.proxy == proxy
            })?;
            Some((hit.at, history.lifted(occurrence)))
        })
        .collect();
    stalls.sort_unstable();
    stalls
}

struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    level: Level,
}

impl Case<'_> {
    /// Never more sessions than it may replace at once, and not for long.
    fn keeps_to_its_size(&self, finding: &mut Finding) {
        let Params {
            max,
            overlap,
            overlap_for,
            ..
        } = *self.params;
        let window = (Moment::ZERO, self.history.end());
        let (at, peak) = self.level.most(window);
        finding.figure("sessions_max", peak as f64);
        let since = |at: Moment| show::seconds(at.seconds_from(self.history.time_zero()));
        let evidence = |verdict, key, expected, measured| {
            Evidence::new(verdict, self.spec, key, expected, measured).over(window, peak)
        };
        let most = max + overlap;
        let sessions = show::plural(peak, "session");
        finding.evidence.push(evidence(
            if peak > most {
                Verdict::Fail
            } else {
                Verdict::Pass
            },
            "max",
            format!("at most {max}, {overlap} more while one replaces another"),
            format!("at most {sessions} at once, at {}", since(at)),
        ));
        let Some((from, length)) = self.level.above(max, window) else {
            return;
        };
        finding.evidence.push(evidence(
            if length > overlap_for.get() {
                Verdict::Fail
            } else {
                Verdict::Pass
            },
            "max",
            format!("more than {max} for at most {overlap_for}"),
            format!(
                "more than {max} sessions for {}, from {}",
                show::time(length),
                since(from)
            ),
        ));
    }

    /// The refill after one outage, and what is left over later.
    fn comes_back(&self, fault: &str, occurrence: &Occurrence, finding: &mut Finding) {
        let lift = self.history.lifted(occurrence);
        let open = occurrence.path_open.unwrap_or(lift).max(lift);
        let until = self
            .history
            .next_injection(open)
            .unwrap_or(self.history.schedule_end());
        match self.params.min {
            Some(min) => self.refills(fault, min, (open, until), finding),
            None => finding.note(self.keeps_no_level(fault, (open, until))),
        }
        if let Some(leak) = self.params.leak {
            let window = (open + leak.get(), until);
            finding.evidence.push(self.leaks_nothing(fault, window));
        }
    }

    /// How many sessions there were after a fault; a pool that connects on demand needs no more.
    fn keeps_no_level(&self, fault: &str, window: (Moment, Moment)) -> String {
        let (_, most) = self.level.most(window);
        let usual = self.level.usual(self.history.baseline());
        format!(
            "at most {} after `{fault}`, {usual} in the baseline; without `min` that is not judged",
            show::plural(most, "session")
        )
    }

    fn refills(
        &self,
        fault: &str,
        needed: u64,
        (open, until): (Moment, Moment),
        finding: &mut Finding,
    ) {
        let bound = self.params.within.map_or(WITHIN, Period::get);
        let refilled = self.level.reaches(needed, (open, until));
        let verdict = match refilled {
            Some(at) if at <= open + bound => Verdict::Pass,
            None if until < open + bound => Verdict::Inconclusive,
            _ => Verdict::Fail,
        };
        let (_, most) = self.level.most((open, until));
        let measured = match refilled {
            Some(at) => {
                let after = show::time(at.since(open));
                format!(
                    "{} again {after} after `{fault}`",
                    show::plural(needed, "session")
                )
            }
            None => format!(
                "at most {} of {needed} in the {} after `{fault}`",
                show::plural(most, "session"),
                show::time(until.since(open))
            ),
        };
        let expected = format!("{needed} within {}", show::time(bound));
        let evidence = Evidence::new(verdict, self.spec, "min", expected, measured);
        finding.evidence.push(evidence.over((open, until), needed));
        if let Some(refilled) = refilled {
            let took = refilled.since(open).as_secs_f64();
            let slowest = finding.figures.entry("refill_s".to_owned()).or_default();
            *slowest = slowest.max(took);
        }
    }

    /// What is leaked never goes away: even the fewest sessions are more than there ever were.
    fn leaks_nothing(&self, fault: &str, window: (Moment, Moment)) -> Evidence {
        let (_, before) = self.level.most(self.history.baseline());
        // A pool that was still filling up may fill up.
        let bound = before.max(self.params.min.unwrap_or(0));
        let expected = if bound > before {
            format!("no more than the {bound} that it is to keep")
        } else {
            format!("no more than the {before} of the baseline")
        };
        let Some(left) = self.level.fewest(window) else {
            let measured = format!("the run did not last so long after `{fault}`");
            return Evidence::new(Verdict::Inconclusive, self.spec, "leak", expected, measured);
        };
        let verdict = if left > bound {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let measured = format!("{} left after `{fault}`", show::plural(left, "session"));
        Evidence::new(verdict, self.spec, "leak", expected, measured).over(window, left)
    }
}

fn advise(finding: &mut Finding) {
    finding.help = match finding.verdict {
        Verdict::Pass => None,
        Verdict::Fail => Some(
            "let one owner open and count every connection of the pool, replace broken ones in the \
             background, and give each back on every way out, errors and cancellations included"
                .to_owned(),
        ),
        Verdict::Inconclusive => {
            Some("let the run go on for longer after the fault, under load".to_owned())
        }
    };
}

#[cfg(test)]
mod tests;
