//! Both directions of one connection, in the protocol that is spoken.

use bytes::Bytes;

use super::exchange::Exchanges;
use super::{Direction, ExchangeId, Protocol, Then, Unit, Wants, http, pg};
use crate::event::Startup;

/// Follows both directions of one connection.
///
/// Feed it what was read, in the order in which it was read, through [`Self::observe`] or
/// [`Self::step`]. How the bytes were cut into pieces does not matter.
#[derive(Debug)]
pub struct Conversation {
    talk: Talk,
    seen: Vec<Observation>,
    /// Bytes that were held when the conversation became opaque.
    left: [Bytes; 2],
}

#[derive(Debug)]
enum Talk {
    Opaque(Opaque),
    Postgres(Box<pg::Talk>),
    Http(http::Talk),
}

/// Why the messages of a connection cannot be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opaque {
    /// It asks for the end of another connection's query and carries no messages.
    Cancel,
    /// The reason, for people.
    Because(&'static str),
}

/// Something worth recording that a connection showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The client asked for something before its PostgreSQL session.
    Startup(Startup),
    /// The server's first `ReadyForQuery`: a session exists.
    Ready,
}

/// What comes next of the bytes that were read.
#[derive(Debug)]
pub enum Emit {
    /// Bytes that pass unchanged.
    Pass(Bytes),
    /// A wanted message, or a piece of a wanted body.
    Unit(Unit, Bytes),
    /// The bytes are kept until their message is whole.
    Kept,
    /// Nothing was taken: an answer of ours has to be given first.
    Blocked,
}

impl Conversation {
    /// A connection without a byte yet.
    pub fn new(protocol: Protocol) -> Self {
        let talk = match protocol {
            Protocol::Tcp => Talk::Opaque(Opaque::Because("the proxy follows no messages")),
            Protocol::Postgres => Talk::Postgres(Box::default()),
            Protocol::Http => Talk::Http(http::Talk::default()),
        };
        Self {
            talk,
            seen: Vec::new(),
            left: Default::default(),
        }
    }

    /// Why nothing more can be seen, if so. It stays so.
    pub const fn opaque(&self) -> Option<Opaque> {
        match self.talk {
            Talk::Opaque(why) => Some(why),
            Talk::Postgres(_) | Talk::Http(_) => None,
        }
    }

    /// Looks at bytes that pass while nothing is wanted and nothing is owed.
    pub fn observe(&mut self, direction: Direction, bytes: &[u8]) {
        let mut at = 0;
        let followed = match &mut self.talk {
            Talk::Opaque(_) => return,
            Talk::Postgres(talk) => {
                let seen = &mut self.seen;
                talk.follow(direction, bytes, &mut at, &Wants::NONE, seen)
                    .map(drop)
            }
            Talk::Http(talk) => talk.follow(direction, bytes, &mut at, &Wants::NONE),
        };
        if let Err(why) = followed {
            self.close_eyes(why);
        }
    }

    /// Takes the next piece of `bytes`, which are not empty. Deliver it before the next call: what
    /// is wanted may change with each piece. An answer of ours may be [due](Self::due) behind it.
    pub fn step(&mut self, direction: Direction, bytes: &mut Bytes, wants: &Wants) -> Emit {
        let stepped = match &mut self.talk {
            Talk::Opaque(_) => {
                let left = std::mem::take(&mut self.left[direction as usize]);
                let is_next = left.is_empty();
                return Emit::Pass(if is_next { std::mem::take(bytes) } else { left });
            }
            Talk::Postgres(talk) => talk.step(direction, bytes, wants, &mut self.seen),
            Talk::Http(talk) => talk.step(direction, bytes, wants),
        };
        stepped.unwrap_or_else(|why| {
            self.close_eyes(why);
            Emit::Pass(std::mem::take(&mut self.left[direction as usize]))
        })
    }

    /// Gives back what is held of a message that is not whole, unless it is still wanted. Call it
    /// whenever less is wanted than before, and before the end of a direction.
    pub fn release(&mut self, direction: Direction, wants: &Wants) -> Bytes {
        let left = std::mem::take(&mut self.left[direction as usize]);
        let released = match &mut self.talk {
            Talk::Opaque(_) => return left,
            Talk::Postgres(talk) => talk.release(direction, wants, &mut self.seen),
            Talk::Http(talk) => Ok(talk.release(direction, wants)),
        };
        released.unwrap_or_else(|why| {
            self.close_eyes(why);
            std::mem::take(&mut self.left[direction as usize])
        })
    }

    /// The server gets nothing of this exchange; whoever calls this replies to it. Later answers
    /// wait until the reply is complete.
    pub fn claim(&mut self, exchange: ExchangeId) {
        each(
            &mut self.talk,
            |queue| queue.claim(exchange),
            |queue| queue.claim(exchange),
        );
    }

    /// Adds to the answer of a claimed exchange. It is [due](Self::due) once all earlier exchanges
    /// are answered.
    pub fn reply(&mut self, exchange: ExchangeId, bytes: &[u8], then: Then) {
        each(
            &mut self.talk,
            |queue| queue.reply(exchange, bytes, then),
            |queue| queue.reply(exchange, bytes, then),
        );
    }

    /// The next part of an answer of ours that is to go to the client now.
    pub fn due(&mut self) -> Option<(Bytes, Then)> {
        each(&mut self.talk, Exchanges::due, Exchanges::due).flatten()
    }

    /// Whether a claimed exchange is not answered yet.
    pub const fn owes(&self) -> bool {
        match &self.talk {
            Talk::Opaque(_) => false,
            Talk::Postgres(talk) => talk.exchanges.owes(),
            Talk::Http(talk) => talk.exchanges.owes(),
        }
    }

    /// Whether an answer of ours, which is not complete, has to come before what the server says.
    pub fn is_blocked(&self) -> bool {
        match &self.talk {
            Talk::Opaque(_) => false,
            Talk::Postgres(talk) => talk.exchanges.is_blocked(),
            Talk::Http(talk) => talk.exchanges.is_blocked(),
        }
    }

    /// Bytes that are held in a direction, answers of ours included.
    pub fn held(&self, direction: Direction) -> usize {
        match &self.talk {
            Talk::Opaque(_) => self.left[direction as usize].len(),
            Talk::Postgres(talk) => talk.held(direction),
            Talk::Http(talk) => talk.held(direction),
        }
    }

    /// Takes what was seen since the last call.
    pub fn seen(&mut self) -> Vec<Observation> {
        std::mem::take(&mut self.seen)
    }

    fn close_eyes(&mut self, why: Opaque) {
        self.left = match &mut self.talk {
            Talk::Opaque(_) => return,
            Talk::Postgres(talk) => talk.take_held(),
            Talk::Http(talk) => talk.take_held(),
        };
        self.talk = Talk::Opaque(why);
    }
}

/// Calls the one for the protocol's queue of exchanges, if there is one.
fn each<T>(
    talk: &mut Talk,
    postgres: impl FnOnce(&mut Exchanges<pg::Exchange>) -> T,
    http: impl FnOnce(&mut Exchanges<http::Exchange>) -> T,
) -> Option<T> {
    match talk {
        Talk::Opaque(_) => None,
        Talk::Postgres(talk) => Some(postgres(&mut talk.exchanges)),
        Talk::Http(talk) => Some(http(&mut talk.exchanges)),
    }
}
