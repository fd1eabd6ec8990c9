//! One HTTP/1.1 connection from its first byte on.

use bytes::Bytes;

use super::head::{self, Framing};
use super::{BODY, REQUEST, RESPONSE};
use crate::wire::exchange::{Exchanges, TOO_MANY};
use crate::wire::{Direction, Emit, ExchangeId, Opaque, Unit, Wants};

/// The longest head that is followed: 256 KiB.
const LONGEST_HEAD: usize = 256 << 10;

/// Follows both directions of one connection.
#[derive(Debug, Default)]
pub(in crate::wire) struct Talk {
    sides: [Side; 2],
    pub(in crate::wire) exchanges: Exchanges<Exchange>,
}

/// Where one direction stands.
#[derive(Debug, Default)]
struct Side {
    /// The body that is under way; `None` where a head is next.
    body: Option<Framing>,
    /// What has come of a head that is not whole.
    partial: Vec<u8>,
    /// Whether `partial` is held; otherwise its bytes have passed.
    holds: bool,
    /// What is under way belongs to it.
    exchange: Option<ExchangeId>,
}

/// What following the response needs to know of its request.
#[derive(Debug)]
pub(in crate::wire) struct Exchange {
    is_head: bool,
    is_connect: bool,
}

/// A head that has come as a whole.
struct Head {
    /// Its bytes, if they came in pieces.
    whole: Vec<u8>,
    exchange: Option<ExchangeId>,
}

/// Where a scan stopped.
enum Stop {
    /// At the end of the bytes.
    End,
    /// A wanted head begins.
    Head,
    /// A piece of a wanted body begins.
    Body,
    /// An answer of ours has to come first.
    Blocked,
}

impl Talk {
    /// Looks at `bytes` from `at` on, up to their end or to where something is to be done first.
    pub(in crate::wire) fn follow(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: &mut usize,
        wants: &Wants,
    ) -> Result<(), Opaque> {
        self.scan(direction, bytes, at, wants).map(drop)
    }

    fn scan(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: &mut usize,
        wants: &Wants,
    ) -> Result<Stop, Opaque> {
        while *at < bytes.len() {
            if self.side(direction).body.is_some() {
                if wants.includes(direction, BODY) {
                    return Ok(Stop::Body);
                }
                *at += self.advance(direction, &bytes[*at..])?.0;
                continue;
            }
            if self.side(direction).partial.is_empty() {
                if direction == Direction::Downstream && self.exchanges.is_blocked() {
                    return Ok(Stop::Blocked);
                }
                if wants.includes(direction, head_of(direction)) {
                    return Ok(Stop::Head);
                }
            }
            *at += self.take_head(direction, &bytes[*at..])?.0;
        }
        Ok(Stop::End)
    }

    pub(in crate::wire) fn step(
        &mut self,
        direction: Direction,
        bytes: &mut Bytes,
        wants: &Wants,
    ) -> Result<Emit, Opaque> {
        let released = self.release(direction, wants);
        if !released.is_empty() {
            return Ok(Emit::Pass(released));
        }
        if !self.side(direction).holds {
            let mut at = 0;
            let stop = self.scan(direction, bytes, &mut at, wants)?;
            if at > 0 {
                return Ok(Emit::Pass(bytes.split_to(at)));
            }
            match stop {
                Stop::End | Stop::Head => {}
                Stop::Blocked => return Ok(Emit::Blocked),
                Stop::Body => {
                    let exchange = self.side(direction).exchange;
                    let (taken, ends) = self.advance(direction, bytes)?;
                    let unit = unit(BODY, exchange, ends);
                    return Ok(Emit::Unit(unit, bytes.split_to(taken)));
                }
            }
        }
        let before = self.side(direction).partial.len();
        let (taken, head) = self.take_head(direction, bytes)?;
        let taken = bytes.split_to(taken);
        let Some(Head { whole, exchange }) = head else {
            self.side(direction).holds = true;
            return Ok(Emit::Kept);
        };
        self.side(direction).holds = false;
        let head = if before == 0 { taken } else { whole.into() };
        // An interim response ends nothing.
        let is_over = direction == Direction::Upstream || self.exchanges.front_id() != exchange;
        let ends = is_over && self.side(direction).body.is_none();
        Ok(Emit::Unit(unit(head_of(direction), exchange, ends), head))
    }

    /// Gives back what is held, unless it is wanted.
    pub(in crate::wire) fn release(&mut self, direction: Direction, wants: &Wants) -> Bytes {
        let side = self.side(direction);
        if !side.holds || wants.includes(direction, head_of(direction)) {
            return Bytes::new();
        }
        side.holds = false;
        Bytes::copy_from_slice(&side.partial)
    }

    pub(in crate::wire) fn held(&self, direction: Direction) -> usize {
        let side = &self.sides[direction as usize];
        let waiting = match direction {
            Direction::Upstream => 0,
            Direction::Downstream => self.exchanges.waiting(),
        };
        side.partial.len() + waiting
    }

    pub(in crate::wire) fn take_held(&mut self) -> [Bytes; 2] {
        self.sides.each_mut().map(|side| {
            let held = std::mem::take(&mut side.partial);
            if side.holds {
                Bytes::from(held)
            } else {
                Bytes::new()
            }
        })
    }

    /// Goes on in a head: how many bytes belong to it, and the head itself once it is whole.
    fn take_head(
        &mut self,
        direction: Direction,
        bytes: &[u8],
    ) -> Result<(usize, Option<Head>), Opaque> {
        let side = self.side(direction);
        let before = side.partial.len();
        if before == 0 {
            if let Some((length, exchange)) = self.read_head(direction, bytes)? {
                let whole = Vec::new();
                return Ok((length, Some(Head { whole, exchange })));
            }
            self.side(direction).partial.extend_from_slice(bytes);
            return Ok((bytes.len(), None));
        }
        side.partial.extend_from_slice(bytes);
        // Only a line feed can end it.
        if side.partial.len() < LONGEST_HEAD && !bytes.contains(&b'\n') {
            return Ok((bytes.len(), None));
        }
        let mut head = std::mem::take(&mut side.partial);
        let read = self.read_head(direction, &head);
        match read {
            Ok(Some((length, exchange))) => {
                head.truncate(length);
                let whole = head;
                Ok((length - before, Some(Head { whole, exchange })))
            }
            Ok(None) => {
                self.side(direction).partial = head;
                Ok((bytes.len(), None))
            }
            Err(why) => {
                // The caller still has `bytes`.
                head.truncate(before);
                self.side(direction).partial = head;
                Err(why)
            }
        }
    }

    /// Reads a head, if it is whole, and goes behind it.
    fn read_head(
        &mut self,
        direction: Direction,
        bytes: &[u8],
    ) -> Result<Option<(usize, Option<ExchangeId>)>, Opaque> {
        let read = match direction {
            Direction::Upstream => self.read_request(bytes)?,
            Direction::Downstream => self.read_response(bytes)?,
        };
        if read.is_none() && bytes.len() >= LONGEST_HEAD {
            return Err(Opaque::Because("a message has a head of more than 256 KiB"));
        }
        Ok(read)
    }

    fn read_request(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, Option<ExchangeId>)>, Opaque> {
        let Some((length, asked)) = head::asked(bytes)? else {
            return Ok(None);
        };
        if self.exchanges.is_full() {
            return Err(TOO_MANY);
        }
        let exchange = self.exchanges.begin(Exchange {
            is_head: asked.is_head,
            is_connect: asked.is_connect,
        });
        let side = self.side(Direction::Upstream);
        side.exchange = Some(exchange);
        side.body = match asked.framing {
            Framing::Empty => None,
            framing => Some(framing),
        };
        Ok(Some((length, Some(exchange))))
    }

    fn read_response(
        &mut self,
        bytes: &[u8],
    ) -> Result<Option<(usize, Option<ExchangeId>)>, Opaque> {
        let Some((length, answered)) = head::answered(bytes)? else {
            return Ok(None);
        };
        let id = self.exchanges.front_id();
        let Some(asked) = self.exchanges.front() else {
            return Err(Opaque::Because("the server spoke without being asked"));
        };
        let framing = match answered.status {
            101 => {
                return Err(Opaque::Because(
                    "the connection was upgraded to another protocol",
                ));
            }
            200..=299 if asked.is_connect => {
                return Err(Opaque::Because("the connection became a tunnel"));
            }
            100..=199 => None,
            _ if asked.is_head => Some(Framing::Empty),
            _ => Some(answered.framing),
        };
        self.side(Direction::Downstream).exchange = id;
        match framing {
            None => {}
            Some(Framing::Empty) => drop(self.exchanges.pop()),
            Some(framing) => self.side(Direction::Downstream).body = Some(framing),
        }
        Ok(Some((length, id)))
    }

    /// Goes on in a body: how many bytes belong to it, and whether it ends with them.
    fn advance(&mut self, direction: Direction, bytes: &[u8]) -> Result<(usize, bool), Opaque> {
        let side = &mut self.sides[direction as usize];
        let (taken, ends) = match &mut side.body {
            None | Some(Framing::Empty) => (0, true),
            Some(Framing::Rest) => (bytes.len(), false),
            Some(Framing::Length(left)) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                (usize::try_from(taken).unwrap_or(usize::MAX), *left == 0)
            }
            Some(Framing::Chunked(chunked)) => chunked
                .walk(bytes)
                .map_err(|_| Opaque::Because("the chunks of a body are ambiguous"))?,
        };
        if ends {
            side.body = None;
            if direction == Direction::Downstream {
                self.exchanges.pop();
            }
        }
        Ok((taken, ends))
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        &mut self.sides[direction as usize]
    }
}

/// The kind of a head.
const fn head_of(direction: Direction) -> u8 {
    match direction {
        Direction::Upstream => REQUEST,
        Direction::Downstream => RESPONSE,
    }
}

const fn unit(kind: u8, exchange: Option<ExchangeId>, ends: bool) -> Unit {
    Unit {
        kind,
        exchange,
        ends,
        about: None,
    }
}
