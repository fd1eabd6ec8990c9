//! Messages that were cut out, and which ones are wanted.

use std::sync::Arc;

use super::Direction;

/// A request together with everything that answers it, numbered per connection. PostgreSQL: what
/// was sent up to a Query or Sync, and the answers up to its `ReadyForQuery`. HTTP: a request and its
/// response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExchangeId(pub(super) u64);

/// What is known of a message that was cut out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// PostgreSQL: the type byte. HTTP: see [`http`](super::http).
    pub kind: u8,
    /// What it belongs to; `None` for what nobody asked for.
    pub exchange: Option<ExchangeId>,
    /// HTTP: whether the request or response ends with it.
    pub ends: bool,
    /// What it is about, if its own bytes do not say it: the SQL text of an Execute.
    pub about: Option<Arc<str>>,
}

/// A set of kinds of messages, per direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants([u128; 2]);

impl Wants {
    /// Nothing.
    pub const NONE: Self = Self([0; 2]);

    /// These kinds, too. Kinds are ASCII.
    #[must_use]
    pub fn and(mut self, direction: Direction, kinds: &[u8]) -> Self {
        for kind in kinds {
            self.0[direction as usize] |= 1 << (kind & 0x7f);
        }
        self
    }

    /// Every kind of one direction, too.
    #[must_use]
    pub const fn and_all(mut self, direction: Direction) -> Self {
        self.0[direction as usize] = u128::MAX;
        self
    }

    /// What is in either set.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        let ([up, down], [other_up, other_down]) = (self.0, other.0);
        Self([up | other_up, down | other_down])
    }

    /// Whether anything of a direction is in the set.
    pub const fn any(&self, direction: Direction) -> bool {
        self.0[direction as usize] != 0
    }

    /// Whether a kind is in the set.
    pub const fn includes(&self, direction: Direction, kind: u8) -> bool {
        kind < 0x80 && self.0[direction as usize] & (1 << kind) != 0
    }
}

/// What follows an answer of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// More of the same answer.
    More,
    /// The answer is complete; the next one may follow.
    Done,
    /// The answer is complete, and the connection ends behind it.
    Close,
}
