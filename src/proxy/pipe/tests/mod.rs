//! Pipes and fault kinds in virtual time.

mod budget;
mod chain;
mod cuts;
mod held;
mod kinds;
mod messages;
mod pace;
mod properties;
mod ramps;
mod rate;
mod shapes;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Budget, Pipe};
use crate::fault::{
    Armed, Candidate, ConnKey, Direction, Effects, Fault, How, Payload, Protocol, Scope, Ways, kind,
};
use crate::units::Moment;

const UP: Direction = Direction::Upstream;
const DOWN: Direction = Direction::Downstream;

fn ms(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn armed(name: &str, effects: Effects) -> Armed {
    Armed {
        fault: name.into(),
        occurrence: 0,
        scope: Scope::default(),
        first_new: 0,
        since: Moment::ZERO,
        revision: 0,
        effects,
    }
}

/// A fault of a kind, named like its kind.
fn of_kind(name: &str, params: &Value) -> Armed {
    armed(name, (kind(name).unwrap().build)(params).unwrap())
}

fn latency(ms: u64) -> Armed {
    let mut armed = of_kind("latency", &json!({ "latency": format!("{ms}ms") }));
    armed.fault = format!("latency-{ms}").into();
    armed
}

fn stall() -> Armed {
    of_kind("partition", &json!({}))
}

fn one_way(mut armed: Armed, ways: Ways) -> Armed {
    armed.scope.direction = ways;
    armed
}

fn custom<F: Fault + Clone + Sync + 'static>(name: &str, fault: F) -> Armed {
    let effects = Effects {
        stream: Some(Arc::new(move || Box::new(fault.clone()))),
        ..Effects::default()
    };
    armed(name, effects)
}

/// A pipe whose clock moves as asked, and what came out of it.
struct Rig {
    pipe: Pipe,
    now: Moment,
    /// Whether bytes bypass the pipe while it is idle.
    screens: bool,
    out: [Vec<(Moment, Payload)>; 2],
}

impl Rig {
    fn new() -> Self {
        Self::of_conn(0)
    }

    fn of_conn(conn: u64) -> Self {
        Self::sharing(conn, &Arc::default())
    }

    fn sharing(conn: u64, budget: &Arc<Budget>) -> Self {
        Self::with_protocol(conn, Protocol::Tcp, budget)
    }

    fn speaking(protocol: Protocol) -> Self {
        Self::with_protocol(0, protocol, &Arc::default())
    }

    /// Opened at the beginning of time, like every connection here.
    fn with_protocol(conn: u64, protocol: Protocol, budget: &Arc<Budget>) -> Self {
        let candidate = Candidate {
            key: ConnKey {
                seed: 1,
                proxy: "db".into(),
                conn,
            },
            client: "127.0.0.1".parse().unwrap(),
            opened: Moment::ZERO,
            active: Moment::ZERO,
            own: false,
        };
        Self {
            pipe: Pipe::new(candidate, protocol, Arc::clone(budget)),
            now: Moment::ZERO,
            screens: protocol != Protocol::Tcp,
            out: Default::default(),
        }
    }

    fn with(armed: &[Armed]) -> Self {
        let mut rig = Self::new();
        rig.set(armed);
        rig
    }

    fn set(&mut self, armed: &[Armed]) {
        self.pipe.set(self.now, armed, Moment::ZERO);
        self.collect();
    }

    fn send(&mut self, direction: Direction, text: &str) {
        self.push(
            direction,
            Payload::Data(Bytes::copy_from_slice(text.as_bytes())),
        );
    }

    /// As a driver does: what passes as it is does not go through the pipe.
    fn push(&mut self, direction: Direction, payload: Payload) {
        if let Payload::Data(data) = &payload
            && self.screens
            && self.pipe.idle()
        {
            if self.pipe.screen(direction, data, || self.now) {
                self.out[direction as usize].push((self.now, payload));
            }
            return self.collect();
        }
        self.pipe.push(self.now, direction, payload);
        self.collect();
    }

    /// Lets time pass as a driver would: from one wake to the next.
    fn until(&mut self, end: Moment) {
        while let Some(wake) = self.pipe.next_wake().filter(|wake| *wake <= end) {
            assert!(wake > self.now, "a pipe asks for a moment that has passed");
            self.now = wake;
            self.pipe.advance(wake);
            self.collect();
        }
        self.now = end;
    }

    fn collect(&mut self) {
        loop {
            for direction in Direction::BOTH {
                while let Some(payload) = self.pipe.pop(direction) {
                    self.out[direction as usize].push((self.now, payload));
                }
            }
            // A driver comes again for what waited until the peer took the rest.
            if self.pipe.next_wake().is_none_or(|wake| wake > self.now) {
                return;
            }
            self.pipe.advance(self.now);
        }
    }

    /// All bytes that came out that way.
    fn text(&self, direction: Direction) -> String {
        let bytes = self.out[direction as usize].iter();
        let bytes = bytes.flat_map(|(_, payload)| match payload {
            Payload::Data(data) => data.to_vec(),
            Payload::Eof | Payload::End(_) => Vec::new(),
        });
        String::from_utf8(bytes.collect()).unwrap()
    }

    /// When each payload came out that way, in whole milliseconds.
    fn times(&self, direction: Direction) -> Vec<u128> {
        let out = self.out[direction as usize].iter();
        out.map(|(at, _)| at.since(Moment::ZERO).as_millis())
            .collect()
    }

    fn cut(&self) -> Option<How> {
        self.pipe.cut().map(|(how, _)| how)
    }

    fn hits(&mut self) -> Vec<String> {
        let hits = self.pipe.hits().into_iter();
        hits.map(|hit| format!("{} {} {:?}", hit.fault, hit.occurrence, hit.impact))
            .collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);
