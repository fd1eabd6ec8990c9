//! Drives both directions of a connection.
//!
//! While no fault is in force and nothing is parked, bytes go from leg to leg through the buffer
//! that the thread shares, and a connection keeps only what its peer would not take. Otherwise they
//! go through the pipe (see [`super::chain`]). Both ways keep order, half-close and back-pressure:
//! nothing is read while there is no room for it.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};

use super::ending::Ending;
use super::{Connection, Step};
use crate::fault::{Direction, How, Payload};
use crate::proxy::context::{self, WorkerContext};
use crate::proxy::limits;
use crate::proxy::transport::Transport;

impl<T: Transport> Connection<T> {
    /// Carries bytes until the connection ends.
    pub(super) async fn carry(&mut self, context: &WorkerContext) -> Ending {
        poll_fn(|cx| self.poll(cx, &mut context.buffer())).await
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Ending> {
        match self.turn(cx, buffer) {
            Err(ending) => Poll::Ready(ending),
            Ok(()) if self.peers.iter().all(|peer| peer.write_ended) => {
                // An end that a fault made leaves a peer behind that goes on.
                let all_ended = self.peers.iter().all(|peer| peer.read_ended);
                Poll::Ready(self.ended((!all_ended).then_some(How::Fin)))
            }
            Ok(()) => Poll::Pending,
        }
    }

    /// Moves what can be moved now, and arranges to be woken for the rest.
    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Step {
        if self.follow_changes(cx)? {
            // A change is in force once every connection follows it, so the others come before the
            // bytes of this one: a turn of each would take hundreds of them a second.
            context::yield_turn(cx);
            return Ok(());
        }
        let mut allowance = limits::TURN_BYTES;
        while allowance > 0 {
            let again = self.step(cx, buffer, &mut allowance)?;
            if !again && allowance > 0 {
                return Ok(());
            }
        }
        // There may be more to move, but others of this thread come first, and then the direction
        // that found nothing left of the allowance.
        self.first = self.first.reverse();
        context::yield_turn(cx);
        Ok(())
    }

    /// One part of a turn: whether another one may find something to do at once.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step<bool> {
        let direct = self.pipe.idle();
        let mut again = false;
        if direct {
            for direction in self.order() {
                self.pass(cx, direction, buffer, allowance)?;
            }
        } else {
            again = self.pass_through_chain(cx, buffer, allowance)?;
        }
        if again || self.pipe.idle() != direct {
            return Ok(true);
        }
        let mut wake = self.pipe.next_wake();
        if !direct {
            wake = wake.into_iter().chain(self.watch_deliveries()?).min();
        }
        if wake.is_some_and(|at| self.timer.poll(cx, at).is_ready()) {
            return Ok(true);
        }
        self.notice_resets(cx)
    }

    /// Leg to leg, without a chain.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step {
        while self.flush_unsent(cx, direction)
            && self.wants_more(direction)
            && *allowance > 0
            && self.pipe.idle()
        {
            match self.source(direction).leg().poll_read(cx, buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => match self.end_of(direction) {
                    Payload::End(how) => return Err(self.ended(how)),
                    _ => self.finish(direction),
                },
                Poll::Ready(Ok(n)) => {
                    let read = self.ledger.start_timing(direction);
                    *allowance = allowance.saturating_sub(n);
                    if self.target(direction).write_ended {
                        self.observe(direction, &buffer[..n]);
                    } else if self.screen(direction, &buffer[..n])
                        && self.write(cx, direction, &buffer[..n])
                    {
                        self.ledger.stop_timing(read);
                    }
                    if n < buffer.len() {
                        break;
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.source_broke(direction, &error);
                    return Err(self.ended(How::Rst));
                }
            }
        }
        let target = self.target(direction);
        if target.broken && target.read_ended {
            return Err(self.ended(How::Rst));
        }
        Ok(())
    }

    /// Writes what the target takes; the rest is kept as unsent. Whether it took all at once.
    fn write(&mut self, cx: &mut Context<'_>, direction: Direction, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let target = self.target(direction);
            match target.poll_write(cx, &[IoSlice::new(bytes)]) {
                Poll::Pending => {
                    target.unsent = Bytes::copy_from_slice(bytes);
                    self.stalled(direction);
                    return false;
                }
                Poll::Ready(Ok(n)) => {
                    self.ledger.passed(direction, n);
                    bytes = &bytes[n..];
                }
                Poll::Ready(Err(error)) => {
                    self.target_broke(direction, &error);
                    return false;
                }
            }
        }
        true
    }

    /// Whether nothing is left unsent.
    pub(super) fn flush_unsent(&mut self, cx: &mut Context<'_>, direction: Direction) -> bool {
        self.target(direction).unsent.is_empty() || self.write_unsent(cx, direction)
    }

    fn write_unsent(&mut self, cx: &mut Context<'_>, direction: Direction) -> bool {
        while !self.target(direction).unsent.is_empty() {
            match self.target(direction).poll_write_unsent(cx) {
                Poll::Pending => {
                    self.stalled(direction);
                    return false;
                }
                Poll::Ready(Ok(n)) => {
                    self.target(direction).unsent.advance(n);
                    self.taken(direction, n);
                }
                Poll::Ready(Err(error)) => self.target_broke(direction, &error),
            }
        }
        // Gives the memory back: an idle connection keeps none.
        self.target(direction).unsent = Bytes::new();
        true
    }

    /// The target takes nothing.
    pub(super) fn stalled(&mut self, direction: Direction) {
        self.pipe.stall(direction);
        self.ledger.stats.stalls(direction, self.ledger.now());
    }

    /// The target took something that had been kept for it.
    pub(super) fn taken(&mut self, direction: Direction, bytes: usize) {
        self.ledger.passed(direction, bytes);
        self.ledger.stats.flows(direction);
        if let Some(delivery) = &mut self.target(direction).delivery {
            delivery.progress();
        }
    }

    /// Looks for resets of sources that are not read at present: whether the chain got something new.
    fn notice_resets(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let direct = self.pipe.idle();
        let mut found = false;
        for direction in Direction::BOTH {
            let reading = self.wants_more(direction)
                && self.target(direction).unsent.is_empty()
                && (direct || self.room(direction) > 0);
            let source = self.source(direction);
            if reading || source.broken {
                continue;
            }
            let Poll::Ready(error) = source.leg().poll_error(cx) else {
                continue;
            };
            self.source_broke(direction, &error);
            if direct {
                return Err(self.ended(How::Rst));
            }
            self.push(direction, Payload::End(How::Rst));
            found = true;
        }
        Ok(found)
    }

    /// The source's input ended: in a half-close, unless it is known to be broken.
    pub(super) fn end_of(&mut self, direction: Direction) -> Payload {
        self.left(direction);
        let source = self.source(direction);
        source.read_ended = true;
        if source.broken {
            Payload::End(How::Rst)
        } else {
            Payload::Eof
        }
    }

    /// Passes a half-close on, the source's own or one that a fault made.
    pub(super) fn finish(&mut self, direction: Direction) {
        if !self.source(direction).read_ended {
            self.half_closed_by_fault();
        }
        let target = self.target(direction);
        target.write_ended = true;
        target.leg().shutdown();
    }

    pub(super) fn source_broke(&mut self, direction: Direction, error: &io::Error) {
        let source = self.source(direction);
        source.read_ended = true;
        source.broken = true;
        self.ledger.stats.flows(direction.reverse());
        self.broke(direction, error);
    }

    /// The target is gone. What it had sent is still read and delivered, a reset behind it.
    pub(super) fn target_broke(&mut self, direction: Direction, error: &io::Error) {
        let target = self.target(direction);
        target.broken = true;
        target.unsent = Bytes::new();
        self.ledger.stats.flows(direction);
        self.broke(direction.reverse(), error);
    }

    pub(super) const fn order(&self) -> [Direction; 2] {
        [self.first, self.first.reverse()]
    }

    /// Whether the source may still send something that the target wants.
    pub(super) fn wants_more(&mut self, direction: Direction) -> bool {
        !self.source(direction).read_ended && !self.target(direction).broken
    }
}
