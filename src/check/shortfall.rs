//! What chaosproxy itself fell short of: no verdict rests on it.

use std::collections::BTreeMap;

use super::metric::Metric;
use super::{Assertion, CheckSpec, Finding, History, Verdict, show};
use crate::event::{ClosedBy, Event, Fact, Name, Sample, Shortfall};
use crate::units::Moment;

/// The share of a source's observations that may be missing without a word: one in so many.
const MISSING: u64 = 100;

/// The advice where connections were turned away.
pub const ROOM: &str = "raise the limit of open files (`ulimit -n`) or `max_connections` of the proxy, or let fewer clients come at once";
const TIME: &str = "repeat the run on a machine where chaosproxy is not held up";
const FEWER: &str = "lower the rate, or shorten the deadline of the requests";

/// Takes a verdict back that may be chaosproxy's own doing. `judge` is the check.
pub(super) fn doubt(
    finding: &mut Finding,
    spec: &CheckSpec,
    history: &History,
    judge: impl Fn(&History) -> Finding,
) {
    let window = window_of(finding, history);
    for (_, _, what) in shortfalls(history, window) {
        finding.note(what.to_string());
    }
    if finding.verdict == Verdict::Inconclusive {
        return;
    }
    let why = turned_away(history, window)
        .map(|why| (why, ROOM))
        .or_else(|| Some((stood_still(finding.verdict, history, window, judge)?, TIME)))
        .or_else(|| not_sent(finding, spec, history, window));
    if let Some((why, help)) = why {
        finding.take_back(&why, help);
    }
}

/// From when to when a finding looked; the whole of what was observed if it does not tell.
fn window_of(finding: &Finding, history: &History) -> (Moment, Moment) {
    let whole = (history.baseline().0, history.end());
    let windows = finding.evidence.iter().map(|evidence| evidence.window);
    let windows: Option<Vec<_>> = windows.collect();
    let both = windows.and_then(|windows| {
        let from = windows.iter().map(|(from, _)| *from).min()?;
        let to = windows.iter().map(|(_, to)| *to).max()?;
        Some((from, to))
    });
    both.unwrap_or(whole)
}

fn shortfalls(
    history: &History,
    (from, to): (Moment, Moment),
) -> impl Iterator<Item = (Moment, Moment, &Shortfall)> {
    let all = history.events().iter();
    let all = all.filter_map(|event| match &event.fact {
        Fact::Shortfall { since, what } => Some((*since, event.at, what)),
        _ => None,
    });
    all.filter(move |(since, until, _)| *since <= to && *until >= from)
}

/// That connections were turned away in a window for want of room in chaosproxy, if some were.
pub fn turned_away(history: &History, window: (Moment, Moment)) -> Option<String> {
    let mut counts: BTreeMap<&Name, u64> = BTreeMap::new();
    for event in history.events() {
        if let Fact::ConnectionClosed {
            proxy,
            cause: ClosedBy::Limit,
            ..
        } = &event.fact
            && (window.0..=window.1).contains(&event.at)
        {
            *counts.entry(proxy).or_default() += 1;
        }
    }
    if let Some((proxy, count)) = counts.into_iter().next() {
        let connections = show::plural(count, "connection");
        return Some(format!(
            "chaosproxy itself turned away {connections} at proxy `{proxy}`"
        ));
    }
    let mut waiting = shortfalls(history, window).map(|(_, _, what)| what);
    let waiting = waiting.find(|what| matches!(what, Shortfall::NotAccepted { .. }));
    waiting.map(ToString::to_string)
}

/// That chaosproxy stood still in a window and that the verdict is another one without this time.
fn stood_still(
    verdict: Verdict,
    history: &History,
    window: (Moment, Moment),
    judge: impl Fn(&History) -> Finding,
) -> Option<String> {
    let still = |history, window| {
        let all = shortfalls(history, window);
        let still = all.filter(|(_, _, what)| **what == Shortfall::StoodStill);
        still
            .map(|(since, until, _)| (since, until))
            .collect::<Vec<_>>()
    };
    let (since, until) = *still(history, window).first()?;
    let gaps = still(history, (Moment::ZERO, Moment::MAX));
    if judge(&history.as_if(|events| squeeze(events, &gaps))).verdict == verdict {
        return None;
    }
    let lasted = show::time(until.since(since));
    let at = show::seconds(since.seconds_from(history.time_zero()));
    Some(format!("chaosproxy stood still for {lasted} at {at}"))
}

/// That what was not sent may have changed the verdict.
fn not_sent(
    finding: &Finding,
    spec: &CheckSpec,
    history: &History,
    window: (Moment, Moment),
) -> Option<(String, &'static str)> {
    for (since, until, what) in shortfalls(history, window) {
        let (source, count, help) = match what {
            Shortfall::Overdue { source, count } => (source, *count, TIME),
            Shortfall::TooManyInFlight { source, count } => (source, *count, FEWER),
            _ => continue,
        };
        // While it stood still, nobody's doing was missed.
        let still = |(_, _, other): (_, _, &Shortfall)| *other == Shortfall::StoodStill;
        let matters = if finding.verdict == Verdict::Fail {
            counts(finding, source)
        } else {
            let sent = history.samples_in(source, window).len() as u64;
            count * MISSING > sent && !shortfalls(history, (since, until)).any(still)
        };
        if matters && mentions(&spec.params, source) {
            return Some((what.to_string(), help));
        }
    }
    None
}

/// Whether what fails is how many observations of a source there are.
fn counts(finding: &Finding, source: &Name) -> bool {
    let failed = finding.evidence.iter();
    let failed = failed.filter(|evidence| evidence.verdict == Verdict::Fail);
    let mut demands = failed.filter_map(|evidence| evidence.expected.parse::<Assertion>().ok());
    demands.any(|demand| {
        demand.source == *source && matches!(demand.metric, Metric::Count | Metric::Rate)
    })
}

/// Whether the parameters of a check name a source.
fn mentions(params: &serde_json::Value, source: &str) -> bool {
    match params {
        serde_json::Value::String(text) => text.contains(source),
        serde_json::Value::Array(items) => items.iter().any(|item| mentions(item, source)),
        serde_json::Value::Object(map) => map.values().any(|value| mentions(value, source)),
        _ => false,
    }
}

/// The events by a clock that stood still together with chaosproxy. What was under way then and got
/// no answer is left out.
fn squeeze(events: &[Event], gaps: &[(Moment, Moment)]) -> Vec<Event> {
    let moved = |moment: Moment| {
        let before = gaps
            .iter()
            .map(|(since, until)| moment.min(*until).since(*since));
        moment.before(before.sum())
    };
    let lost = |sample: &Sample| {
        let overlaps =
            |(since, until): &(Moment, Moment)| sample.intended <= *until && sample.done >= *since;
        !sample.outcome.is_answer() && gaps.iter().any(overlaps)
    };
    let kept = events.iter().filter(|event| match &event.fact {
        Fact::Sample(sample) => !lost(sample),
        Fact::Shortfall { .. } => false,
        _ => true,
    });
    let squeezed = kept.map(|event| {
        let mut event = event.clone();
        event.at = moved(event.at);
        match &mut event.fact {
            Fact::Sample(sample) => {
                for moment in [&mut sample.intended, &mut sample.sent, &mut sample.done] {
                    *moment = moved(*moment);
                }
            }
            Fact::FaultEdge {
                planned, decided, ..
            } => (*planned, *decided) = (planned.map(moved), moved(*decided)),
            Fact::FaultMoved { planned, .. } => *planned = planned.map(moved),
            Fact::SteadyState { from, .. } => *from = moved(*from),
            Fact::LedgerWrite { sent, .. } => *sent = moved(*sent),
            Fact::ConnectionClosed { carried, .. } => {
                carried.client_left = carried.client_left.map(moved);
            }
            _ => {}
        }
        event
    });
    squeezed.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::check::testing::{Story, not_ok, ok};
    use crate::check::{CheckSpec, Finding, Severity, SourceMap, Verdict, judge::judge_one};
    use crate::event::{ClosedBy, Fact, Outcome, Shortfall};

    fn story(outcome: impl Fn(f64) -> (f64, Outcome)) -> Story {
        Story::until(50.0).samples(("p", "s"), 0.1, (0.0, 50.0), outcome)
    }

    fn judged(story: Story, that: &str) -> Finding {
        let spec = CheckSpec {
            name: "it".into(),
            kind: "slo".into(),
            severity: Severity::Error,
            params: json!({ "that": [that], "min_samples": 20 }),
            source: SourceMap::default(),
        };
        judge_one(&spec, &story.max_lateness("10s").history(None))
    }

    fn short(story: Story, since: f64, until: f64, what: Shortfall) -> Story {
        let since = crate::check::testing::at(since);
        story.fact(until, Fact::Shortfall { since, what })
    }

    #[test]
    fn where_a_connection_was_turned_away_nothing_fails_and_nothing_passes() {
        let failing = |when: f64| (0.01, if when < 20.0 { ok() } else { not_ok() });
        for turned_away in [20.0, 5.0] {
            let limited = |story: Story| {
                let story = story.opened(7, turned_away);
                story.closed(7, turned_away, ClosedBy::Limit)
            };
            let failed = judged(limited(story(failing)), "p.error_rate <= 1%");
            let passed = judged(limited(story(|_| (0.01, ok()))), "p.error_rate <= 1%");
            let within = turned_away > 10.0;
            assert_eq!(failed.verdict == Verdict::Fail, !within, "{failed:#?}");
            assert_eq!(passed.verdict == Verdict::Pass, !within, "{passed:#?}");
            if within {
                let why = "chaosproxy itself turned away 1 connection at proxy `db`";
                assert!(failed.summary.starts_with(why), "{}", failed.summary);
            }
        }
    }

    #[test]
    fn a_proxy_that_could_not_accept_voids_what_was_seen_meanwhile() {
        let (proxy, why) = ("db".into(), "too many open files".to_owned());
        let what = Shortfall::NotAccepted { proxy, why };
        let story = short(story(|_| (0.01, ok())), 20.0, 20.0, what);
        assert_eq!(
            judged(story, "p.error_rate <= 1%").verdict,
            Verdict::Inconclusive
        );
    }

    #[test]
    fn a_gap_explains_what_lies_in_it_and_nothing_else() {
        let gap = |story: Story| short(story, 20.0, 23.0, Shortfall::StoodStill);
        // What was under way ends when it goes on.
        let hung = |when: f64| {
            let in_gap = (20.0..23.0).contains(&when);
            (if in_gap { 23.01 - when } else { 0.01 }, ok())
        };
        let that = "p.max <= 500ms";
        assert_eq!(judged(story(hung), that).verdict, Verdict::Fail);
        let voided = judged(gap(story(hung)), that);
        assert_eq!(voided.verdict, Verdict::Inconclusive, "{voided:#?}");
        assert!(
            voided
                .summary
                .starts_with("chaosproxy stood still for 3 s at 10"),
            "{voided:#?}"
        );
        let broken = |_| (0.01, not_ok());
        assert_eq!(
            judged(gap(story(broken)), "p.ok_ratio >= 90%").verdict,
            Verdict::Fail
        );
        let fine = |_| (0.01, ok());
        let passed = judged(gap(story(fine)), "p.error_rate == 0%");
        assert_eq!(passed.verdict, Verdict::Pass, "{passed:#?}");
        assert_eq!(passed.notes, ["chaosproxy stood still"]);
    }

    #[test]
    fn what_was_not_sent_lets_nothing_pass_and_what_was_sent_may_fail() {
        let (source, count) = ("p".into(), 40);
        let what = Shortfall::TooManyInFlight { source, count };
        let left_out = |outcome: fn() -> Outcome| {
            short(story(move |_| (0.01, outcome())), 20.0, 24.0, what.clone())
        };
        let zero = "p.error_rate == 0%";
        assert_eq!(judged(left_out(ok), zero).verdict, Verdict::Inconclusive);
        assert_eq!(judged(left_out(not_ok), zero).verdict, Verdict::Fail);
        let many = "p.count >= 440";
        assert_eq!(judged(story(|_| (0.01, ok())), many).verdict, Verdict::Fail);
        assert_eq!(judged(left_out(ok), many).verdict, Verdict::Inconclusive);
    }
}
