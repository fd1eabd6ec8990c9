//! Where the evidence of a run ends before its schedule does.

use super::{Facts, History, Occurrence};
use crate::event::{Event, Fact, Phase};
use crate::units::Moment;

/// The moments that bound what was observed.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    /// When the run was interrupted or aborted, or could not go on.
    halted: Option<Moment>,
    last_event: Moment,
}

impl Bounds {
    pub(super) fn see(&mut self, event: &Event) {
        let halts = matches!(
            event.fact,
            Fact::Interrupted { .. } | Fact::Abort { .. } | Fact::Failed { .. }
        );
        if halts {
            self.halted.get_or_insert(event.at);
        }
        self.last_event = self.last_event.max(event.at);
    }
}

impl History {
    /// When a run was interrupted, aborted or cut off: what it had not come to by then is not known.
    /// `None` if it went on to its end.
    pub fn ended_early(&self) -> Option<Moment> {
        let Facts { bounds, .. } = &*self.facts;
        let cut = || self.truncated.then_some(bounds.last_event);
        bounds.halted.or_else(cut)
    }

    /// The end of observation: the beginning of the tear-down, or the last event; in a run that
    /// ended early no more than its end, since what follows it is chaosproxy's own doing.
    pub fn end(&self) -> Moment {
        let planned = self.phase(Phase::TearDown);
        let end = planned.unwrap_or(self.facts.bounds.last_event);
        self.ended_early().map_or(end, |early| early.min(end))
    }

    /// The end of the schedule; without one the end of observation.
    pub fn schedule_end(&self) -> Moment {
        let end = self.end();
        self.phase(Phase::Settle)
            .map_or(end, |settle| settle.min(end))
    }

    /// When an occurrence was lifted; the end of observation if it was not by then.
    pub fn lifted(&self, occurrence: &Occurrence) -> Moment {
        let end = self.end().max(occurrence.inject);
        occurrence.lift.map_or(end, |lift| lift.min(end))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::check::Verdict;
    use crate::check::testing::{Story, at, not_ok, ok};
    use crate::event::{ClosedBy, Fact, Impact, ServiceChange};

    /// A fault from 20 s to `lift`; from then on nothing gets well again, nobody attempts anything
    /// and no process ends.
    fn story(lift: f64) -> Story {
        let change = |change| Fact::Service {
            service: "web".into(),
            change,
        };
        Story::until(60.0)
            .session(0, 1.0)
            .fact(2.0, change(ServiceChange::Started(10)))
            .fact(2.0, change(ServiceChange::Watched))
            .fault("cut", 20.0, lift)
            .hit("cut", 20.0, 0, Impact::Closed)
            .closed(0, 20.0, ClosedBy::Fault("cut".into()))
            .samples(("writes", "web"), 0.05, (0.0, 60.0), |when| {
                (0.01, if when < 20.0 { ok() } else { not_ok() })
            })
    }

    fn interrupted() -> Fact {
        let signal = "SIGINT".to_owned();
        Fact::Interrupted { signal }
    }

    #[test]
    fn what_was_not_over_when_the_run_was_interrupted_does_not_fail() {
        let cases: [(&str, f64, f64, Value); 4] = [
            (
                "exit",
                22.0,
                6.0,
                json!({ "service": "web", "within": "8s" }),
            ),
            (
                "recovery",
                22.0,
                25.0,
                json!({ "service": "web", "fault": "cut", "within": "10s",
                    "that": ["writes.error_rate == 0%"] }),
            ),
            (
                "backoff",
                50.0,
                20.5,
                json!({ "proxy": "db", "fault": "cut", "shape": "constant", "base": "2s",
                    "lanes": 1, "min_attempts": 1, "max_rate": "10/s" }),
            ),
            (
                "pool",
                22.0,
                25.0,
                json!({ "proxy": "db", "max": 5, "fault": "cut", "min": 1, "within": "10s" }),
            ),
        ];
        for (kind, lift, early, params) in cases {
            let over = story(lift).judge(kind, params.clone());
            assert_eq!(over.verdict, Verdict::Fail, "{kind}: {over:#?}");
            let cut = story(lift).fact(early, interrupted());
            let finding = cut.judge(kind, params);
            assert_eq!(finding.verdict, Verdict::Inconclusive, "{finding:#?}");
        }
    }

    #[test]
    fn nothing_is_observed_beyond_an_early_end() {
        let history = story(50.0).fact(30.0, interrupted()).history(None);
        let lifted = history.lifted(&history.fault("cut")[0]);
        let ends = [history.end(), history.schedule_end(), lifted];
        assert_eq!(ends, [at(30.0); 3]);
        let whole = story(50.0).history(None);
        let lifted = whole.lifted(&whole.fault("cut")[0]);
        let ends = [whole.end(), whole.schedule_end(), lifted];
        assert_eq!(ends, [at(61.0), at(60.0), at(50.0)]);
        let cut = story(50.0).history(None).truncated(true);
        assert_eq!((cut.ended_early(), cut.end()), (Some(at(61.0)), at(61.0)));
    }
}
