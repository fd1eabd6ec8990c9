//! One connection, from its acceptance to its close, in one task.
//!
//! It is received ([`receive`]: it may have to wait, be refused, and needs a server), carried
//! ([`carry`]: bytes go both ways until an end) and ended ([`ending`]: each peer sees the end that
//! it is to see). Only receiving knows that its legs are sockets.

mod carry;
mod chain;
mod ending;
mod ledger;
mod receive;
#[cfg(test)]
mod tests;

use std::io::{self, IoSlice};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::context::WorkerContext;
use super::control::Subscription;
use super::pipe::Pipe;
use super::timer::Timer;
use super::transport::Transport;
use crate::event::{ClosedBy, Name};
use crate::fault::{Candidate, Direction, How};
use ending::{Delivery, Ending};
pub(super) use ledger::Ledger;
pub(super) use receive::{AcceptPolicy, AcceptedConn, Delay};

/// One connection.
pub(super) struct Connection<T> {
    ledger: Ledger,
    subscription: Subscription,
    pipe: Pipe,
    /// The client and the server, each by the direction in which it sends.
    peers: [Peer<T>; 2],
    timer: Timer,
    /// The direction that comes first in a turn.
    first: Direction,
    /// The last fault that said that it closed this connection.
    closer: Option<Name>,
    /// Who was the first to end its part.
    ended_by: Option<ClosedBy>,
}

/// One side of a connection.
struct Peer<T> {
    /// `None` while there is no connection to it.
    leg: Option<T>,
    /// Bytes that left the chain (or met none) and that it would not take yet.
    unsent: Bytes,
    /// Its end was read: nothing more comes from it.
    read_ended: bool,
    /// Its leg's writing half was shut down. What still comes for it, after an end that a fault made,
    /// is read and dropped.
    write_ended: bool,
    /// It reset the connection, or a write to it failed: what still comes for it is dropped.
    broken: bool,
    /// Present once bytes for it had to wait before an end that a fault made.
    delivery: Option<Delivery>,
}

/// Goes on, or the connection ends.
type Step<R = ()> = Result<R, Ending>;

/// Carries one connection to its end. Never fails: whatever happens becomes a fact.
pub(super) async fn serve(accepted: Box<AcceptedConn>, context: &WorkerContext) {
    let (mut connection, policy) = receive::begin(*accepted, context);
    // Boxed, so that the memory for receiving is given back before bytes are carried.
    let received = match policy {
        Ok(policy) => Box::pin(connection.receive(policy, context)).await,
        Err(ending) => Err(ending),
    };
    let ending = match received {
        Ok(()) => connection.carry(context).await,
        Err(ending) => ending,
    };
    Box::pin(connection.end(ending, context)).await;
}

impl<T: Transport> Connection<T> {
    fn new(
        mut ledger: Ledger,
        subscription: Subscription,
        candidate: Candidate,
        legs: [Option<T>; 2],
        context: &WorkerContext,
    ) -> Self {
        ledger.worker = context.worker();
        Self {
            pipe: Pipe::new(
                candidate,
                ledger.route.protocol,
                Arc::clone(&ledger.route.budget),
            ),
            ledger,
            subscription,
            peers: legs.map(Peer::new),
            timer: context.timer(),
            first: Direction::Upstream,
            closer: None,
            ended_by: None,
        }
    }

    /// Follows what was changed since the last call: whether anything was, or that the connection
    /// is to end.
    fn follow_changes(&mut self, cx: &Context<'_>) -> Step<bool> {
        let Some(news) = self.subscription.poll(cx, self.ledger.worker) else {
            return Ok(false);
        };
        if self.subscription.is_to_end(&news.state) {
            return Err(Ending::new(ClosedBy::Shutdown, How::Fin));
        }
        let (now, active) = (self.ledger.now(), self.ledger.stats.active());
        self.pipe.set(now, &news.state.armed, active);
        self.record_faults().map(|()| true)
    }

    /// Records what faults did; the connection ends if one of them cut it.
    fn record_faults(&mut self) -> Step {
        if let Some(closer) = self.ledger.record_faults(&mut self.pipe) {
            self.closer = Some(closer);
        }
        match self.pipe.cut() {
            Some((how, fault)) => Err(Ending::new(ClosedBy::Fault(fault.clone()), how)),
            None => Ok(()),
        }
    }

    /// Looks for facts in bytes that were read and do not go through the pipe.
    fn observe(&mut self, direction: Direction, bytes: &[u8]) {
        self.pipe.observe(direction, bytes);
        self.ledger.record_notes(&mut self.pipe);
    }

    /// Looks at bytes that were read and meet no fault on bytes: whether they pass as they are.
    /// Otherwise they are in the pipe.
    fn screen(&mut self, direction: Direction, bytes: &[u8]) -> bool {
        let passes = self.pipe.screen(direction, bytes, || self.ledger.now());
        self.ledger.record_notes(&mut self.pipe);
        passes
    }

    /// The peer that sends in `direction`.
    fn source(&mut self, direction: Direction) -> &mut Peer<T> {
        &mut self.peers[direction as usize]
    }

    /// The peer that receives in `direction`.
    fn target(&mut self, direction: Direction) -> &mut Peer<T> {
        self.source(direction.reverse())
    }
}

impl<T: Transport> Peer<T> {
    fn new(leg: Option<T>) -> Self {
        Self {
            leg,
            unsent: Bytes::new(),
            read_ended: false,
            write_ended: false,
            broken: false,
            delivery: None,
        }
    }

    fn leg(&mut self) -> &mut T {
        let leg = self.leg.as_mut();
        leg.expect("bytes are carried between two legs, until both are closed")
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.leg().poll_write(cx, pieces)
    }

    fn poll_write_unsent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let leg = self.leg.as_mut();
        let leg = leg.expect("only bytes for a leg are unsent");
        leg.poll_write(cx, &[IoSlice::new(&self.unsent)])
    }
}
