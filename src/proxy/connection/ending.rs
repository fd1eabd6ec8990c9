//! Why and how a connection ends.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use super::{Connection, Peer, Step};
use crate::event::ClosedBy;
use crate::fault::{Direction, How};
use crate::proxy::context::{self, WorkerContext};
use crate::proxy::limits;
use crate::proxy::transport::Transport;
use crate::units::Moment;

/// Why and how a connection ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) cause: ClosedBy,
    /// What the peers are to see; `None` if each has ended its part and was sent the other's end.
    pub(super) how: Option<How>,
    /// The direction in which bytes precede this end, which are not to be lost to it.
    delivers: Option<Direction>,
}

impl Ending {
    pub(super) fn new(cause: ClosedBy, how: impl Into<Option<How>>) -> Self {
        Self {
            cause,
            how: how.into(),
            delivers: None,
        }
    }

    pub(super) fn error(error: &io::Error) -> Self {
        Self::new(ClosedBy::Error(error.to_string()), How::Rst)
    }
}

/// Watches whether a peer still acknowledges the bytes that precede an end. One that reads slowly
/// gets all the time it needs; one that acknowledges nothing for [`limits::DELIVERY`] does not.
#[derive(Debug)]
pub(super) struct Delivery {
    /// The fewest bytes without an acknowledgement since the last progress.
    least: Option<u32>,
    deadline: Moment,
    look_again: Moment,
}

impl Delivery {
    const fn new(now: Moment) -> Self {
        Self {
            least: None,
            deadline: now,
            look_again: now,
        }
    }

    /// The peer took something.
    pub(super) const fn progress(&mut self) {
        self.least = None;
    }

    /// Whether the peer, which has `left` bytes to acknowledge, acknowledged nothing for too long.
    fn has_stalled(&mut self, left: u32, now: Moment) -> bool {
        if self.least.is_none_or(|least| left < least) {
            self.least = Some(left);
            self.deadline = now + limits::DELIVERY;
        }
        self.look_again = now + limits::ACKNOWLEDGEMENTS;
        now >= self.deadline
    }
}

impl<T: Transport> Connection<T> {
    /// The peer that sends in `direction` has ended its part.
    pub(super) fn left(&mut self, direction: Direction) {
        let by = match direction {
            Direction::Upstream => {
                self.ledger.stats.client_left(self.ledger.now());
                ClosedBy::Client
            }
            Direction::Downstream => ClosedBy::Upstream,
        };
        self.ended_by.get_or_insert(by);
    }

    /// The leg that `direction` reads failed.
    pub(super) fn broke(&mut self, direction: Direction, error: &io::Error) {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        if matches!(error.kind(), ConnectionReset | BrokenPipe) {
            self.left(direction);
        } else {
            let error = || ClosedBy::Error(error.to_string());
            self.ended_by.get_or_insert_with(error);
        }
    }

    /// One direction ended, and not by its source.
    pub(super) fn half_closed_by_fault(&mut self) {
        if let Some(fault) = &self.closer {
            let by_fault = || ClosedBy::Fault(fault.clone());
            self.ended_by.get_or_insert_with(by_fault);
        }
    }

    /// Nothing more goes either way.
    pub(super) fn ended(&mut self, how: impl Into<Option<How>>) -> Ending {
        let by_fault = self.closer.take().map(ClosedBy::Fault);
        let cause = self.ended_by.take().or(by_fault);
        Ending::new(cause.unwrap_or(ClosedBy::Shutdown), how)
    }

    /// An end of the whole connection came out of the chain: the source's reset, or the end that a
    /// fault makes, behind what it let through.
    pub(super) fn ended_behind(&mut self, direction: Direction, how: How) -> Ending {
        if self.source(direction).broken {
            return self.ended(how);
        }
        Ending {
            delivers: Some(direction),
            ..self.ended_by_fault(how)
        }
    }

    fn ended_by_fault(&mut self, how: How) -> Ending {
        self.ended_by = self.closer.take().map(ClosedBy::Fault);
        self.ended(how)
    }

    /// Gives bytes up that precede an end that a fault made, if their target acknowledges nothing
    /// for too long. Returns when to look again.
    pub(super) fn watch_deliveries(&mut self) -> Step<Option<Moment>> {
        let mut look_again = None;
        for direction in Direction::BOTH {
            // An end that is not popped by now stands behind bytes that the target does not take.
            if self.pipe.end(direction).is_none() || self.source(direction).broken {
                continue;
            }
            let now = self.ledger.now();
            let Peer { leg, delivery, .. } = self.target(direction);
            let delivery = delivery.get_or_insert_with(|| Delivery::new(now));
            if now >= delivery.look_again {
                // Where the kernel does not know, only what it takes is progress.
                let left = leg.as_ref().map(Transport::unacknowledged);
                let left = left.and_then(Result::ok).unwrap_or(u32::MAX);
                if delivery.has_stalled(left, now) {
                    // A FIN would claim that nothing is missing.
                    return Err(self.ended_by_fault(How::Rst));
                }
            }
            look_again = look_again.into_iter().chain([delivery.look_again]).min();
        }
        Ok(look_again)
    }

    /// Closes the legs, so that each peer sees what it is to see, and records the end.
    pub(super) async fn end(mut self, ending: Ending, context: &WorkerContext) {
        // Changes no longer wait for it.
        self.subscription.leave();
        let mut ended = context.now();
        if let Some(how) = ending.how {
            if let Some(direction) = ending.delivers {
                deliver(self.target(direction).leg(), context).await;
                ended = context.now();
            }
            self.close_legs(how, context).await;
        }
        drop(self.peers);
        self.ledger.close(ended, ending.cause, Some(&mut self.pipe));
    }

    /// Closes the legs, the client's first, so that each peer sees what `how` says.
    ///
    /// Closing a socket that holds unread input sends RST whatever was intended. So an orderly end
    /// finishes writing, reads away what still comes, and closes at the peer's own end, but not
    /// later than [`limits::LINGER`].
    async fn close_legs(&mut self, how: How, context: &WorkerContext) {
        let legs = self.peers.iter_mut().map(|peer| &mut peer.leg);
        if how == How::Rst {
            for mut leg in legs.filter_map(Option::take) {
                leg.reset_on_drop();
            }
            return;
        }
        legs.flatten().for_each(Transport::shutdown);
        let read_away = poll_fn(|cx| {
            let mut buffer = context.buffer();
            let mut allowance = limits::TURN_BYTES;
            let open = Direction::BOTH
                .map(|direction| self.read_away(cx, direction, &mut buffer, &mut allowance));
            if open.contains(&true) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        });
        let _in_time = context.within(limits::LINGER, read_away).await.is_some();
    }

    /// Drops what still comes from a peer: whether more may come.
    fn read_away(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> bool {
        while *allowance > 0 {
            let Some(leg) = &mut self.source(direction).leg else {
                return false;
            };
            match leg.poll_read(cx, buffer) {
                Poll::Pending => return true,
                Poll::Ready(Ok(0) | Err(_)) => return false,
                Poll::Ready(Ok(n)) => {
                    *allowance = allowance.saturating_sub(n);
                    if direction == Direction::Upstream {
                        self.observe(direction, &buffer[..n]);
                    }
                }
            }
        }
        context::yield_turn(cx);
        true
    }
}

/// Waits until the peer of a leg has acknowledged what was written to it: a reset throws away what
/// it has not.
async fn deliver(leg: &mut impl Transport, context: &WorkerContext) {
    let mut delivery = Delivery::new(context.now());
    while let Ok(left) = leg.unacknowledged() {
        if left == 0 || delivery.has_stalled(left, context.now()) {
            return;
        }
        context.sleep(limits::ACKNOWLEDGEMENTS).await;
    }
    // The peer is gone, or this kernel does not know.
    let sent = poll_fn(|cx| leg.poll_sent(cx));
    let _in_time = context.within(limits::LINGER, sent).await.is_some();
}
