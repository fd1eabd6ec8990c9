//! The open exchanges of a connection, in the order in which they were asked.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use super::{ExchangeId, Opaque, Then};

/// Exchanges that may wait for their answers. With more, the conversation is not followed.
const MOST: usize = 50_000;

pub(super) const TOO_MANY: Opaque = Opaque::Because("too many requests wait for their answers");

/// A queue of exchanges, each with a protocol's own `state`.
#[derive(Debug)]
pub(super) struct Exchanges<T> {
    /// The number of the front; the numbers behind it are consecutive.
    first: u64,
    queue: VecDeque<Exchange<T>>,
    /// How many of them are claimed.
    claimed: usize,
}

#[derive(Debug)]
struct Exchange<T> {
    state: T,
    /// What is owed to the client instead of the server's answer.
    own: Option<Own>,
}

#[derive(Debug, Default)]
struct Own {
    reply: BytesMut,
    /// Set once the reply is complete.
    end: Option<Then>,
}

impl<T> Default for Exchanges<T> {
    fn default() -> Self {
        Self {
            first: 0,
            queue: VecDeque::new(),
            claimed: 0,
        }
    }
}

impl<T> Exchanges<T> {
    /// A new one behind the others.
    pub(super) fn begin(&mut self, state: T) -> ExchangeId {
        self.queue.push_back(Exchange { state, own: None });
        ExchangeId(self.first + self.queue.len() as u64 - 1)
    }

    /// The one that is answered next.
    pub(super) fn front(&mut self) -> Option<&mut T> {
        self.queue.front_mut().map(|front| &mut front.state)
    }

    /// The number of the front.
    pub(super) fn front_id(&self) -> Option<ExchangeId> {
        (!self.queue.is_empty()).then_some(ExchangeId(self.first))
    }

    /// The one that was begun last.
    pub(super) fn last(&mut self) -> Option<(ExchangeId, &mut T)> {
        let id = ExchangeId((self.first + self.queue.len() as u64).checked_sub(1)?);
        Some((id, &mut self.queue.back_mut()?.state))
    }

    /// Whether there is no room for another one.
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= MOST
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// The front was answered.
    pub(super) fn pop(&mut self) -> Option<T> {
        let front = self.queue.pop_front()?;
        self.first += 1;
        self.claimed -= usize::from(front.own.is_some());
        Some(front.state)
    }

    /// The server does not see this one: we answer it.
    pub(super) fn claim(&mut self, id: ExchangeId) {
        if let Some(exchange) = self.get(id)
            && exchange.own.is_none()
        {
            exchange.own = Some(Own::default());
            self.claimed += 1;
        }
    }

    /// Adds to the answer of a claimed exchange.
    pub(super) fn reply(&mut self, id: ExchangeId, bytes: &[u8], then: Then) {
        if let Some(own) = self.get(id).and_then(|exchange| exchange.own.as_mut()) {
            own.reply.extend_from_slice(bytes);
            own.end = (then != Then::More).then_some(then);
        }
    }

    /// The next part of an answer of ours whose turn has come.
    pub(super) fn due(&mut self) -> Option<(Bytes, Then)> {
        let own = self.queue.front_mut()?.own.as_mut()?;
        let bytes = own.reply.split().freeze();
        match own.end {
            Some(end) => {
                self.pop();
                Some((bytes, end))
            }
            None => (!bytes.is_empty()).then_some((bytes, Then::More)),
        }
    }

    /// Whether an answer of ours has to come before anything else from the server.
    pub(super) fn is_blocked(&self) -> bool {
        self.claimed > 0 && self.queue.front().is_some_and(|front| front.own.is_some())
    }

    /// Whether an answer of ours has not been given yet.
    pub(super) const fn owes(&self) -> bool {
        self.claimed > 0
    }

    /// Bytes of answers that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        if self.claimed == 0 {
            return 0;
        }
        let owns = self
            .queue
            .iter()
            .filter_map(|exchange| exchange.own.as_ref());
        owns.map(|own| own.reply.len()).sum()
    }

    fn get(&mut self, id: ExchangeId) -> Option<&mut Exchange<T>> {
        let index = usize::try_from(id.0.checked_sub(self.first)?).ok()?;
        self.queue.get_mut(index)
    }
}
