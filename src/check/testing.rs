//! Hand-made histories for the tests of checks. Times are in seconds; the steady state begins at
//! 0 s, the schedule at [`ZERO`].

use std::time::Duration;

use serde_json::Value;

use super::{
    CheckSpec, Experiment, FaultBrief, Finding, History, Severity, SourceBrief, SourceMap, registry,
};
use crate::event::{
    AskedBy, Carried, ClosedBy, Edge, Event, Fact, Fate, Impact, LogGap, LogStream, Name, Outcome,
    Phase, Sample, Startup,
};
use crate::units::Moment;

/// When the schedule of every story begins.
pub(super) const ZERO: f64 = 10.0;

pub(super) fn at(seconds: f64) -> Moment {
    Moment::ZERO + Duration::from_secs_f64(seconds)
}

pub(super) fn ok() -> Outcome {
    Outcome::Ok { status: Some(200) }
}

pub(super) fn not_ok() -> Outcome {
    Outcome::NotOk {
        status: Some(503),
        why: "status 503".into(),
    }
}

/// The two ways to get no answer at all, before any deadline.
pub(super) fn unanswered() -> [Outcome; 2] {
    let why = || "connection reset by peer".to_owned();
    [
        Outcome::ConnectError { why: why() },
        Outcome::Broken { why: why() },
    ]
}

/// A run, told fact by fact.
#[derive(Default)]
pub(super) struct Story {
    experiment: Experiment,
    events: Vec<Event>,
}

impl Story {
    /// A run whose schedule ends at `end`.
    pub(super) fn until(end: f64) -> Self {
        Self::default()
            .fact(0.0, phase(Phase::SteadyState))
            .fact(ZERO, phase(Phase::Experiment))
            .fact(end, phase(Phase::Settle))
            .fact(end + 1.0, phase(Phase::TearDown))
    }

    pub(super) fn fact(mut self, when: f64, fact: Fact) -> Self {
        self.events.push(Event { at: at(when), fact });
        self
    }

    /// A fault at proxy `db`, in force from `from` to `to`; the path is open 10 ms later.
    pub(super) fn fault(self, name: &str, from: f64, to: f64) -> Self {
        self.fault_of(name, "partition", serde_json::json!({}), from, to)
    }

    pub(super) fn fault_of(
        mut self,
        name: &str,
        kind: &str,
        params: Value,
        from: f64,
        to: f64,
    ) -> Self {
        let faults = &mut self.experiment.faults;
        let known = faults.iter().any(|fault| &*fault.name == name);
        let occurrence = self
            .events
            .iter()
            .filter(|event| {
                matches!(&event.fact, Fact::FaultEdge { fault, edge: Edge::Inject, .. }
                    if &**fault == name)
            })
            .count();
        if !known {
            faults.push(FaultBrief {
                name: name.into(),
                kind: kind.into(),
                params,
                ramp: [].into(),
                sweep: Vec::new(),
                proxy: "db".into(),
                min_hits: 1,
            });
        }
        let edge = |edge, when| Fact::FaultEdge {
            fault: name.into(),
            edge,
            occurrence: u32::try_from(occurrence).unwrap(),
            planned: Some(at(when)),
            decided: at(when),
            by: AskedBy::Schedule,
        };
        let open = Fact::PathOpen {
            proxy: "db".into(),
            fault: name.into(),
        };
        self.fact(from, edge(Edge::Inject, from))
            .fact(to, edge(Edge::Lift, to))
            .fact(to + 0.01, open)
    }

    /// Says that a fault is a sweep of these lengths.
    pub(super) fn swept(mut self, name: &str, lengths: &[&str]) -> Self {
        let faults = &mut self.experiment.faults;
        let swept = faults.iter_mut().find(|fault| &*fault.name == name);
        let lengths = lengths.iter().map(|length| length.parse().unwrap());
        swept.unwrap().sweep = lengths.collect();
        self
    }

    pub(super) fn hit(self, fault: &str, when: f64, conn: u64, impact: Impact) -> Self {
        self.fact(
            when,
            Fact::FaultHit {
                fault: fault.into(),
                proxy: "db".into(),
                conn: Some(conn),
                impact,
            },
        )
    }

    /// A client that a shut port at proxy `db` turned away.
    pub(super) fn turned_away(self, fault: &str, when: f64, impact: Impact) -> Self {
        let hit = Fact::FaultHit {
            fault: fault.into(),
            proxy: "db".into(),
            conn: None,
            impact,
        };
        self.fact(when, hit)
    }

    /// Observations of a source each `every` seconds: latency in seconds and outcome by time.
    pub(super) fn samples(
        mut self,
        (source, service): (&str, &str),
        every: f64,
        (from, to): (f64, f64),
        outcome: impl Fn(f64) -> (f64, Outcome),
    ) -> Self {
        let brief = SourceBrief {
            service: service.into(),
            timeout: Duration::from_secs(3),
            interval: Some(Duration::from_secs_f64(every)),
        };
        self.experiment.sources.insert(source.into(), brief);
        let mut round = 0_u32;
        loop {
            let when = from + every * f64::from(round);
            if when >= to {
                return self;
            }
            let (latency, outcome) = outcome(when);
            let sample = Sample {
                source: source.into(),
                intended: at(when),
                sent: at(when),
                done: at(when + latency),
                outcome,
                digest: None,
            };
            self = self.fact(when + latency, Fact::Sample(sample));
            round += 1;
        }
    }

    /// Makes a source one that observes whenever there is something, as a probe of a log does.
    pub(super) fn irregular(mut self, source: &str) -> Self {
        let brief = self.experiment.sources.get_mut(source);
        brief.expect("a source of the story").interval = None;
        self
    }

    /// Lets each observation of a source be sent so many seconds late.
    pub(super) fn late(self, source: &str, seconds: f64) -> Self {
        self.late_within(source, (0.0, f64::from(u32::MAX)), seconds)
    }

    /// Lets those that should have been sent from the first moment on and before the second be late.
    pub(super) fn late_within(mut self, source: &str, span: (f64, f64), seconds: f64) -> Self {
        for event in &mut self.events {
            if let Fact::Sample(sample) = &mut event.fact
                && &*sample.source == source
                && (at(span.0)..at(span.1)).contains(&sample.intended)
            {
                sample.sent = sample.intended + Duration::from_secs_f64(seconds);
            }
        }
        self
    }

    /// Gives each observation of a source a digest by the moment at which it should have been sent.
    pub(super) fn digests(mut self, source: &str, digest: impl Fn(f64) -> &'static str) -> Self {
        for event in &mut self.events {
            if let Fact::Sample(sample) = &mut event.fact
                && &*sample.source == source
                && sample.outcome.is_ok()
            {
                let when = sample.intended.seconds_from(Moment::ZERO);
                let digest = digest(when);
                // `-` stands for an answer that was too long to be compared.
                sample.digest = Some(match digest {
                    "-" => Err("too long".to_owned()),
                    _ => Ok(digest.to_owned()),
                });
            }
        }
        self
    }

    /// A client's connection at `db` that asks for a session and gets none.
    pub(super) fn attempt(self, conn: u64, opened: f64, closed: f64) -> Self {
        self.attempt_of(conn, "app", opened, closed, ClosedBy::Fault("cut".into()))
    }

    pub(super) fn attempt_of(
        self,
        conn: u64,
        application: &str,
        opened: f64,
        closed: f64,
        cause: ClosedBy,
    ) -> Self {
        let packet = Startup::Session {
            user: "u".into(),
            database: "d".into(),
            application_name: application.into(),
        };
        self.opened(conn, opened)
            .packet(conn, opened, packet)
            .closed(conn, closed, cause)
    }

    /// A session at `db` from `opened` on.
    pub(super) fn session(self, conn: u64, opened: f64) -> Self {
        let packet = Startup::Session {
            user: "u".into(),
            database: "d".into(),
            application_name: "app".into(),
        };
        self.opened(conn, opened)
            .packet(conn, opened, packet)
            .ready(conn, opened + 0.001)
    }

    pub(super) fn ready(self, conn: u64, when: f64) -> Self {
        let proxy = "db".into();
        self.fact(when, Fact::SessionReady { proxy, conn })
    }

    pub(super) fn opened(self, conn: u64, when: f64) -> Self {
        let port = u16::try_from(40_000 + conn).unwrap();
        self.fact(
            when,
            Fact::ConnectionOpened {
                proxy: "db".into(),
                conn,
                peer: ([127, 0, 0, 1], port).into(),
            },
        )
    }

    pub(super) fn packet(self, conn: u64, when: f64, packet: Startup) -> Self {
        self.fact(
            when,
            Fact::StartupPacket {
                proxy: "db".into(),
                conn,
                packet,
            },
        )
    }

    pub(super) fn closed(self, conn: u64, when: f64, cause: ClosedBy) -> Self {
        self.fact(
            when,
            Fact::ConnectionClosed {
                proxy: "db".into(),
                conn,
                cause,
                carried: Box::default(),
            },
        )
    }

    /// A client that left at `left`, which a fault held back until the connection ended at `closed`.
    pub(super) fn left(self, conn: u64, left: f64, closed: f64) -> Self {
        let carried = Carried {
            client_left: Some(at(left)),
            ..Carried::default()
        };
        self.fact(
            closed,
            Fact::ConnectionClosed {
                proxy: "db".into(),
                conn,
                cause: ClosedBy::Client,
                carried: Box::new(carried),
            },
        )
    }

    pub(super) fn log(self, service: &str, when: f64, line: &str) -> Self {
        self.fact(
            when,
            Fact::Log {
                service: service.into(),
                stream: LogStream::Stderr,
                line: line.into(),
                cut: false,
            },
        )
    }

    /// Cuts the line that was logged last.
    pub(super) fn cut(mut self) -> Self {
        if let Some(Event {
            fact: Fact::Log { cut, .. },
            ..
        }) = self.events.last_mut()
        {
            *cut = true;
        }
        self
    }

    /// A time in which lines of a service's log may have been missed.
    pub(super) fn log_gap(self, service: &str, from: f64, until: Option<f64>) -> Self {
        let gap = LogGap {
            service: service.into(),
            from: at(from),
            until: until.map(at),
            why: "`tail` ended".into(),
        };
        self.fact(until.unwrap_or(from), Fact::LogGap(gap))
    }

    pub(super) fn write(self, key: &str, when: f64, fate: Fate) -> Self {
        self.fact(
            when,
            Fact::LedgerWrite {
                ledger: "chunks".into(),
                key: key.into(),
                sent: at(when),
                fate,
            },
        )
    }

    pub(super) fn busy(mut self, share: f64) -> Self {
        for second in 0..100 {
            self = self.fact(f64::from(second), Fact::Machine { busy: share });
        }
        self
    }

    pub(super) fn max_lateness(mut self, limit: &str) -> Self {
        self.experiment.limits.max_lateness = limit.parse().expect("a period");
        self
    }

    pub(super) fn history(mut self, check: Option<CheckSpec>) -> History {
        self.experiment.checks.extend(check);
        self.events.sort_by_key(|event| event.at);
        History::new(self.experiment, self.events)
    }

    /// Judges by a check `it` of this type and these parameters.
    pub(super) fn judge(self, kind: &str, params: Value) -> Finding {
        let spec = CheckSpec {
            name: Name::from("it"),
            kind: kind.into(),
            severity: Severity::Error,
            params,
            source: SourceMap::default(),
        };
        let judge = registry::kind(kind).expect("a known type").judge;
        judge(&spec, &self.history(None))
    }
}

fn phase(phase: Phase) -> Fact {
    Fact::Phase { phase }
}
