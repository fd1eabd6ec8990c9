//! Whether a run gave a check something to judge: faults that touched somebody, a machine that had
//! time to measure.

use std::time::Duration;

use super::metric::Metric;
use super::{Assertion, CheckSpec, Finding, History, Occurrence, Verdict, Window, show};
use crate::event::{Answers, Fact, Name, Outcome, Sample};
use crate::units::Moment;

/// Why a fault proves nothing: it never happened, or it touched too few connections. Each time
/// that it was in force must have touched enough.
pub(super) fn missing(history: &History, fault: &str) -> Option<String> {
    let occurrences = history.fault(fault);
    if occurrences.is_empty() {
        return Some(format!("fault `{fault}` never happened"));
    }
    fewest(history, fault, occurrences.iter())
}

/// That one of these occurrences touched too few, if one did.
pub(super) fn fewest<'a>(
    history: &History,
    fault: &str,
    occurrences: impl Iterator<Item = &'a Occurrence>,
) -> Option<String> {
    let fewest = occurrences.map(|one| one.hits.len() as u64).min()?;
    let needed = history.min_hits(fault);
    (fewest < needed).then(|| {
        if let Some(why) = failed(history, fault) {
            return format!("fault `{fault}` failed: {why}");
        }
        let why = unable(history, fault).map(|(count, why)| {
            let connections = show::plural(count, "connection");
            format!("; on {connections} it could not act: {why}")
        });
        format!(
            "fault `{fault}` touched {}, at least {needed} needed{}",
            show::plural(fewest, "connection"),
            why.unwrap_or_default()
        )
    })
}

/// On how many connections a fault could do nothing, and the reason on the first of them.
pub(super) fn unable<'a>(history: &'a History, fault: &str) -> Option<(u64, &'a str)> {
    let mut whys = history
        .events()
        .iter()
        .filter_map(|event| match &event.fact {
            Fact::FaultUnable { fault: of, why, .. } if **of == *fault => Some(why.as_str()),
            _ => None,
        });
    let first = whys.next()?;
    Some((1 + whys.count() as u64, first))
}

/// Why a fault could not do what it is to do, if it could not.
fn failed<'a>(history: &'a History, fault: &str) -> Option<&'a str> {
    history.events().iter().find_map(|event| match &event.fact {
        Fact::FaultFailed { fault: of, why } if **of == *fault => Some(why.as_str()),
        _ => None,
    })
}

/// The first of several faults that proves nothing, see [`missing`].
pub(super) fn any_missing<'a>(
    history: &History,
    faults: impl IntoIterator<Item = &'a Name>,
) -> Option<String> {
    faults.into_iter().find_map(|fault| missing(history, fault))
}

/// What `judge` finds in the time that `during` names, or that the run never came so far.
pub(super) fn over(
    during: &Window,
    spec: &CheckSpec,
    history: &History,
    judge: impl FnOnce((Moment, Moment)) -> Finding,
) -> Finding {
    match during.resolve(history) {
        Some(window) => judge(window),
        None => Finding::inconclusive(
            spec,
            format!("the window `{during}` never was"),
            "choose a window that the run reaches",
        ),
    }
}

/// `fault exercised: 23 victims of ...`, for the notes of a finding.
pub(super) fn victims(history: &History, fault: &str) -> String {
    let hits = history.fault(fault).iter().map(|one| one.hits.len() as u64);
    match hits.sum() {
        0 => format!("fault `{fault}` touched nobody"),
        hits => {
            let requests = match requests(history, fault) {
                0 => String::new(),
                requests => format!(", {}", show::plural(requests, "request")),
            };
            let victims = show::plural(hits, "victim");
            format!("fault `{fault}` exercised: {victims}{requests}")
        }
    }
}

/// How many requests a fault on messages touched.
fn requests(history: &History, fault: &str) -> u64 {
    let touched = history.events().iter().map(|event| match &event.fact {
        Fact::FaultTouched {
            fault: of,
            exchanges,
            ..
        } if **of == *fault => *exchanges,
        _ => 0,
    });
    touched.sum()
}

/// The advice for a log that was not seen whole.
pub(super) const UNREAD: &str = "see that the whole log is read: what brings it must run as long as \
     the run does, and lines of more than 4096 bytes or more than 2000 in a second are not recorded \
     whole";

/// How many times as long a starved machine may make things take.
const STARVED_FACTOR: u32 = 10;
/// What a starved machine may add to anything, however short.
const STARVED_LEAST: Duration = Duration::from_secs(1);

/// The longest that a starved machine may make of what takes `time` on one with time to spare.
pub(super) fn at_most(time: Duration) -> Duration {
    (time * STARVED_FACTOR).max(time + STARVED_LEAST)
}

/// That the machine may have slowed down what was observed, and by how much: the one rule by which
/// it excuses anything. It makes answers late; it refuses no connection and gives no wrong answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excuse {
    why: String,
    /// Otherwise requests were only sent late.
    starved: bool,
}

impl Excuse {
    /// Why, for people.
    pub fn why(&self) -> &str {
        &self.why
    }

    /// The least that a time may have been on a machine with time to spare.
    pub fn at_least(&self, time: Duration) -> Duration {
        if self.starved {
            (time / STARVED_FACTOR).min(time.saturating_sub(STARVED_LEAST))
        } else {
            time
        }
    }

    /// The observations without what the machine explains: those that got an answer count from when
    /// they were sent, and as short as they may have been. On a starved machine those without an
    /// answer in time are left out.
    pub fn relieve(&self, samples: &[Sample]) -> Vec<Sample> {
        let kept = samples
            .iter()
            .filter(|sample| !(self.starved && sample.outcome == Outcome::Timeout));
        let relieved = kept.map(|sample| {
            let took = self.at_least(sample.done.since(sample.sent));
            let done = if sample.outcome.is_answer() {
                sample.sent + took
            } else {
                sample.done
            };
            Sample {
                intended: sample.sent,
                done,
                ..sample.clone()
            }
        });
        relieved.collect()
    }
}

/// Why latencies of `source` measured in `window` may say more about the machine than about the
/// service, if they do.
pub(super) fn slowed(history: &History, source: &str, window: (Moment, Moment)) -> Option<Excuse> {
    let limit = history.experiment().limits.max_lateness.get();
    let late = || {
        let late = history.lateness(source, window)?;
        (late > limit).then(|| Excuse {
            why: format!(
                "`{source}` was sent {} late at the 99th percentile",
                show::time(late)
            ),
            starved: false,
        })
    };
    starved(history, window).or_else(late)
}

/// That the machine was busier than it may be, if it was.
pub fn starved(history: &History, window: (Moment, Moment)) -> Option<Excuse> {
    let busy = history.busy(window)?;
    (busy > history.experiment().limits.max_busy.fraction()).then(|| Excuse {
        why: format!("the machine was {} busy", show::percent(busy)),
        starved: true,
    })
}

/// Whether a demand that was missed in `window` is missed as well without what the machine explains.
pub fn is_missed_anyway(
    excuse: &Excuse,
    (assertion, of): (&Assertion, Answers),
    history: &History,
    window: (Moment, Moment),
) -> bool {
    if matches!(assertion.metric, Metric::Count | Metric::Rate) {
        // Fewer were sent because the machine had no time for it.
        return false;
    }
    let relieved = excuse.relieve(history.samples_in(&assertion.source, window));
    let measured = history.measure_of(assertion, of, &relieved, window);
    measured.holds() == Some(false)
}

/// Takes a failure back if the machine was starved in `window` and this explains that something took
/// `time`, or longer, and not the `limit`.
pub(super) fn excuse(
    finding: &mut Finding,
    history: &History,
    window: (Moment, Moment),
    (time, limit): (Duration, Duration),
) {
    if finding.verdict != Verdict::Fail {
        return;
    }
    let Some(excuse) = starved(history, window) else {
        return;
    };
    if excuse.at_least(time) > limit {
        return;
    }
    let why = excuse.why();
    finding.verdict = Verdict::Inconclusive;
    finding.summary = format!("{}, but {why}", finding.summary);
    finding.help = Some(STARVED.to_owned());
    let failed = finding.evidence.iter_mut();
    for evidence in failed.filter(|evidence| evidence.verdict == Verdict::Fail) {
        evidence.verdict = Verdict::Inconclusive;
        evidence.measured = format!("{}, but {why}", evidence.measured);
    }
}

/// The advice for a starved machine.
pub const STARVED: &str =
    "repeat the run on a machine with time to spare, or lower the rates of the workloads";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::{Story, not_ok, ok, unanswered};
    use crate::event::Impact;

    const SECOND: Duration = Duration::from_secs(1);

    fn excuse(starved: bool) -> Excuse {
        let why = String::new();
        Excuse { why, starved }
    }

    #[test]
    fn a_starved_machine_explains_tenfold_times_and_a_second_and_lateness_itself_alone() {
        let starved = excuse(true);
        for (took, at_least) in [(50 * SECOND, 5 * SECOND), (SECOND, Duration::ZERO)] {
            assert_eq!(starved.at_least(took), at_least);
            assert_eq!(excuse(false).at_least(took), took);
        }
        assert_eq!(starved.at_least(SECOND * 11 / 10), SECOND / 10);
    }

    #[test]
    fn a_fault_that_could_not_act_says_why_it_touched_too_few() {
        let unable = |conn| Fact::FaultUnable {
            fault: "cut".into(),
            proxy: "db".into(),
            conn,
            why: "the messages are encrypted with TLS".into(),
        };
        let story = Story::until(40.0).fault("cut", 20.0, 28.0);
        let story = story.fact(21.0, unable(0)).fact(22.0, unable(1));
        let why = missing(&story.history(None), "cut").unwrap();
        let expected = "fault `cut` touched 0 connections, at least 1 needed; on 2 connections it \
                        could not act: the messages are encrypted with TLS";
        assert_eq!(why, expected);
    }

    #[test]
    fn of_a_fault_on_messages_the_requests_are_told_beside_the_victims() {
        let touched = |conn, exchanges| Fact::FaultTouched {
            fault: "cut".into(),
            occurrence: 0,
            proxy: "db".into(),
            conn,
            exchanges,
            last: Moment::ZERO,
        };
        let story = || {
            let story = Story::until(40.0).fault("cut", 20.0, 28.0);
            let story = story.hit("cut", 21.0, 0, Impact::Answered);
            story.hit("cut", 21.0, 1, Impact::Answered)
        };
        assert!(victims(&story().history(None), "cut").ends_with("2 victims"));
        let story = story().fact(29.0, touched(0, 40)).fact(30.0, touched(1, 2));
        assert!(victims(&story.history(None), "cut").ends_with("2 victims, 42 requests"));
    }

    #[test]
    fn only_what_is_slow_is_excused_and_never_an_answer_or_a_refusal() {
        let window = (Moment::ZERO, Moment::MAX);
        let missed = |that: &str, starved: bool, outcome: Outcome| {
            let story = Story::until(40.0)
                .samples(("p", "s"), 0.1, (0.0, 40.0), |_| (0.5, outcome.clone()))
                .late("p", 0.025);
            let that = that.parse().unwrap();
            is_missed_anyway(
                &excuse(starved),
                (&that, Answers::Good),
                &story.history(None),
                window,
            )
        };
        for starved in [true, false] {
            assert!(missed("p.ok_ratio >= 50%", starved, not_ok()));
            for refused in unanswered() {
                assert!(missed("p.error_rate <= 1%", starved, refused.clone()));
                assert!(missed("p.p95 <= 1s", starved, refused));
            }
            assert!(!missed("p.p95 <= 490ms", starved, ok()));
            assert_eq!(
                missed("p.timeouts == 0", starved, Outcome::Timeout),
                !starved
            );
        }
        assert!(missed("p.p95 <= 400ms", false, ok()), "late by 25 ms");
        assert!(!missed("p.p95 <= 400ms", true, ok()));
    }
}
