//! One PostgreSQL connection from its first byte on.

use std::collections::VecDeque;

use bytes::Bytes;

use super::cursor::{Cursor, HEADER, Taken, size};
use super::message;
use super::names::{LONGEST_SQL, Names, Provisional};
use super::opening::{Opening, TLS_HANDSHAKE};
use crate::event::Startup;
use crate::wire::exchange::{Exchanges, TOO_MANY};
use crate::wire::{Direction, Emit, ExchangeId, Observation, Opaque, Unit, Wants};

/// Bytes of a Bind, Execute or Close that are looked at for names, when it comes in pieces.
const NAMES: usize = 512;

/// Follows both directions of one connection.
#[derive(Debug, Default)]
pub(in crate::wire) struct Talk {
    phase: Phase,
    ssl_asked: bool,
    gss_asked: bool,
    ready: bool,
    cursors: [Cursor; 2],
    names: Names,
    pub(in crate::wire) exchanges: Exchanges<Exchange>,
}

#[derive(Debug)]
enum Phase {
    /// The client's next packet is awaited.
    Opening(Opening),
    /// The client asked for encryption; one raw byte of the server answers.
    Asked(Encryption),
    /// The server agreed to TLS; the client's next bytes begin the handshake.
    Agreed,
    /// Messages, both ways.
    Messages,
}

#[derive(Debug, Clone, Copy)]
enum Encryption {
    Tls,
    Gss,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Opening(Opening::default())
    }
}

/// What was sent up to a `ReadyForQuery` of its own.
#[derive(Debug)]
pub(in crate::wire) struct Exchange {
    /// It ends with a Sync.
    extended: bool,
    /// Nothing more belongs to it.
    ended: bool,
    /// The server takes `CopyData` and ignores Sync.
    copies: bool,
    /// Statements that the server has not confirmed.
    parsed: VecDeque<Provisional>,
}

const NOT_POSTGRES: Opaque = Opaque::Because("the client does not speak PostgreSQL");
const TLS: Opaque = Opaque::Because("the messages are encrypted with TLS");

impl Talk {
    /// Looks at `bytes` from `at` on, up to their end or to where something is to be done first: a
    /// wanted message begins, or an answer of ours comes.
    pub(in crate::wire) fn follow(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: &mut usize,
        wants: &Wants,
        seen: &mut Vec<Observation>,
    ) -> Result<Stop, Opaque> {
        if !matches!(self.phase, Phase::Messages) {
            match direction {
                Direction::Upstream => self.open(bytes, at, seen)?,
                Direction::Downstream => self.answer(bytes, at)?,
            }
        }
        while *at < bytes.len() {
            let cursor = &mut self.cursors[direction as usize];
            if cursor.is_between() {
                if direction == Direction::Downstream && self.exchanges.is_blocked() {
                    return Ok(Stop::Blocked);
                }
                let rest = &bytes[*at..];
                if wants.includes(direction, rest[0]) && !cursor.spared {
                    return Ok(Stop::Wanted);
                }
                if let Some(size) = size(rest)?
                    && size <= rest.len()
                {
                    cursor.spared = false;
                    *at += size;
                    self.passed(direction, rest[0], &rest[HEADER..size], true, seen)?;
                    continue;
                }
            }
            let keeps = |kind| keeps(direction, kind);
            if let Some((kind, body)) = cursor.walk(bytes, at, keeps)? {
                self.passed(direction, kind, &body, body.len() < LONGEST_SQL, seen)?;
            }
        }
        Ok(Stop::End)
    }

    pub(in crate::wire) fn step(
        &mut self,
        direction: Direction,
        bytes: &mut Bytes,
        wants: &Wants,
        seen: &mut Vec<Observation>,
    ) -> Result<Emit, Opaque> {
        let released = self.release(direction, wants, seen)?;
        if !released.is_empty() {
            return Ok(Emit::Pass(released));
        }
        if !self.cursors[direction as usize].holds() {
            let mut at = 0;
            let stop = self.follow(direction, bytes, &mut at, wants, seen)?;
            if at > 0 {
                return Ok(Emit::Pass(bytes.split_to(at)));
            }
            if stop == Stop::Blocked {
                return Ok(Emit::Blocked);
            }
        }
        match self.cursors[direction as usize].take(bytes)? {
            Taken::Part => Ok(Emit::Kept),
            Taken::Whole(data) => {
                let (kind, body) = (data[0], message::body(&data));
                let about = (direction == Direction::Upstream && kind == message::EXECUTE)
                    .then(|| self.names.execute(body))
                    .flatten();
                let exchange = match self.passed(direction, kind, body, true, seen) {
                    Ok(exchange) => exchange,
                    Err(why) => {
                        self.cursors[direction as usize].put_back(data);
                        return Err(why);
                    }
                };
                let unit = Unit {
                    kind,
                    exchange,
                    ends: true,
                    about,
                };
                Ok(Emit::Unit(unit, data))
            }
            Taken::TooLong => {
                let held = self.release(direction, &Wants::NONE, seen)?;
                self.cursors[direction as usize].spared = held.is_empty();
                if held.is_empty() {
                    return self.step(direction, bytes, wants, seen);
                }
                Ok(Emit::Pass(held))
            }
        }
    }

    /// Gives back what is held, unless it is wanted, and goes on behind it.
    pub(in crate::wire) fn release(
        &mut self,
        direction: Direction,
        wants: &Wants,
        seen: &mut Vec<Observation>,
    ) -> Result<Bytes, Opaque> {
        let cursor = &mut self.cursors[direction as usize];
        if cursor
            .kind()
            .is_none_or(|kind| wants.includes(direction, kind))
        {
            return Ok(Bytes::new());
        }
        let held = cursor.take_held();
        if let Err(why) = self.follow(direction, &held, &mut 0, &Wants::NONE, seen) {
            self.cursors[direction as usize].put_back(held);
            return Err(why);
        }
        Ok(held)
    }

    pub(in crate::wire) fn held(&self, direction: Direction) -> usize {
        let waiting = match direction {
            Direction::Upstream => 0,
            Direction::Downstream => self.exchanges.waiting(),
        };
        self.cursors[direction as usize].held() + waiting
    }

    pub(in crate::wire) fn take_held(&mut self) -> [Bytes; 2] {
        self.cursors.each_mut().map(Cursor::take_held)
    }

    /// A message passed: what it belongs to.
    fn passed(
        &mut self,
        direction: Direction,
        kind: u8,
        body: &[u8],
        whole: bool,
        seen: &mut Vec<Observation>,
    ) -> Result<Option<ExchangeId>, Opaque> {
        match direction {
            Direction::Upstream if self.exchanges.is_full() => Err(TOO_MANY),
            Direction::Upstream => Ok(self.asked(kind, body, whole)),
            Direction::Downstream => self.answered(kind, body, seen),
        }
    }

    /// The client sent a message.
    fn asked(&mut self, kind: u8, body: &[u8], whole: bool) -> Option<ExchangeId> {
        match kind {
            b'Q' | b'F' => Some(self.begin(false)),
            b'P' | b'B' | b'D' | b'C' | b'E' | b'H' => {
                let id = self.open_exchange();
                match kind {
                    b'P' => {
                        let parsed = self.names.parse(body, whole);
                        if let Some((_, exchange)) = self.exchanges.last() {
                            exchange.parsed.push_back(parsed);
                        }
                    }
                    b'B' => self.names.bind(body),
                    b'C' => self.names.close(body),
                    _ => {}
                }
                Some(id)
            }
            b'S' => {
                let copies = self.exchanges.front().is_some_and(|front| front.copies);
                if copies {
                    // The server ignores it.
                    return self.exchanges.front_id();
                }
                let id = self.open_exchange();
                if let Some((_, exchange)) = self.exchanges.last() {
                    exchange.ended = true;
                }
                Some(id)
            }
            b'c' | b'f' | b'd' => {
                if let Some(front) = self.exchanges.front() {
                    front.copies &= kind == b'd';
                }
                self.exchanges.front_id()
            }
            _ => None,
        }
    }

    /// The server sent a message.
    fn answered(
        &mut self,
        kind: u8,
        body: &[u8],
        seen: &mut Vec<Observation>,
    ) -> Result<Option<ExchangeId>, Opaque> {
        let id = self.exchanges.front_id();
        match kind {
            b'Z' => {
                if let Some(exchange) = self.exchanges.pop() {
                    self.names.take_back(exchange.parsed);
                }
                if body.first() == Some(&b'I') && self.exchanges.len() == 0 {
                    self.names.end_transaction();
                }
                if !std::mem::replace(&mut self.ready, true) {
                    seen.push(Observation::Ready);
                }
            }
            b'1' => {
                if let Some(front) = self.exchanges.front() {
                    front.parsed.pop_front();
                }
            }
            b'G' | b'W' => {
                if self.exchanges.len() > 1 {
                    return Err(Opaque::Because("data is copied in the midst of a pipeline"));
                }
                if let Some((_, exchange)) = self.exchanges.last() {
                    // A Sync that was sent already does not count; a Query is answered all the same.
                    exchange.copies = true;
                    exchange.ended &= !exchange.extended;
                }
            }
            b'E' => {
                if let Some(front) = self.exchanges.front() {
                    front.copies = false;
                }
            }
            _ => {}
        }
        Ok(id)
    }

    fn begin(&mut self, extended: bool) -> ExchangeId {
        self.exchanges.begin(Exchange {
            extended,
            ended: !extended,
            copies: false,
            parsed: VecDeque::new(),
        })
    }

    /// The exchange that the next message of the extended protocol belongs to.
    fn open_exchange(&mut self) -> ExchangeId {
        match self.exchanges.last() {
            Some((id, exchange)) if !exchange.ended => id,
            _ => self.begin(true),
        }
    }

    /// Before there are messages, the client sends packets of another form.
    fn open(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        seen: &mut Vec<Observation>,
    ) -> Result<(), Opaque> {
        while *at < bytes.len() {
            match &mut self.phase {
                Phase::Opening(opening) => {
                    let mut rest = &bytes[*at..];
                    let packet = opening.collect(&mut rest);
                    *at = bytes.len() - rest.len();
                    if let Some(packet) = packet {
                        self.opened(packet, seen)?;
                    }
                }
                Phase::Asked(_) => {
                    // A client has to await the answer; a server refuses what came before it.
                    seen.push(Observation::Startup(Startup::Unknown));
                    return Err(NOT_POSTGRES);
                }
                Phase::Agreed => {
                    let (packet, why) = match bytes[*at] {
                        TLS_HANDSHAKE => (Startup::Tls, TLS),
                        _ => (Startup::Unknown, NOT_POSTGRES),
                    };
                    seen.push(Observation::Startup(packet));
                    return Err(why);
                }
                Phase::Messages => break,
            }
        }
        Ok(())
    }

    /// Goes where a packet leads: each encryption may be asked for once.
    fn opened(&mut self, packet: Startup, seen: &mut Vec<Observation>) -> Result<(), Opaque> {
        let next = match packet {
            Startup::Ssl if !std::mem::replace(&mut self.ssl_asked, true) => {
                Ok(Phase::Asked(Encryption::Tls))
            }
            Startup::Gss if !std::mem::replace(&mut self.gss_asked, true) => {
                Ok(Phase::Asked(Encryption::Gss))
            }
            Startup::Session { .. } => Ok(Phase::Messages),
            Startup::Cancel => Err(Opaque::Cancel),
            Startup::Tls => Err(TLS),
            Startup::Ssl | Startup::Gss | Startup::Unknown => Err(NOT_POSTGRES),
        };
        let is_twice = next.is_err() && matches!(packet, Startup::Ssl | Startup::Gss);
        seen.push(Observation::Startup(if is_twice {
            Startup::Unknown
        } else {
            packet
        }));
        self.phase = next?;
        if matches!(self.phase, Phase::Messages) {
            // What the client proves is part of it, up to the first ReadyForQuery.
            self.begin(false);
        }
        Ok(())
    }

    /// The server's one byte, if the client asked for encryption.
    fn answer(&mut self, bytes: &[u8], at: &mut usize) -> Result<(), Opaque> {
        if let (Phase::Asked(encryption), Some(answer)) = (&self.phase, bytes.get(*at)) {
            *at += 1;
            self.phase = match (encryption, answer) {
                (_, b'N') => Phase::default(),
                (Encryption::Tls, b'S') => Phase::Agreed,
                (Encryption::Gss, b'G') => {
                    return Err(Opaque::Because("the messages are encrypted with GSSAPI"));
                }
                // An old server answers with an error and ends.
                _ => return Err(NOT_POSTGRES),
            };
        }
        if matches!(self.phase, Phase::Agreed) {
            // The server waits for the handshake.
            *at = bytes.len();
        }
        Ok(())
    }
}

/// Where a scan stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Stop {
    /// At the end of the bytes.
    End,
    /// A wanted message begins.
    Wanted,
    /// An answer of ours has to come first.
    Blocked,
}

/// How many bytes of the body of a kind the scan itself needs.
fn keeps(direction: Direction, kind: u8) -> usize {
    match (direction, kind) {
        (Direction::Upstream, b'P') => LONGEST_SQL,
        (Direction::Upstream, b'B' | b'C' | b'E') => NAMES,
        (Direction::Downstream, b'Z') => 1,
        _ => 0,
    }
}
