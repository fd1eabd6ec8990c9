//! The way of bytes through the pipe while a fault touches the connection.

use std::io::IoSlice;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::{Connection, Step};
use crate::fault::{Direction, How, Payload};
use crate::proxy::limits;
use crate::proxy::transport::Transport;

impl<T: Transport> Connection<T> {
    /// Through the chain: whether there is more to move at once.
    pub(super) fn pass_through_chain(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step<bool> {
        let now = self.ledger.now();
        if self.pipe.next_wake().is_some_and(|at| at <= now) {
            self.pipe.advance(now);
        }
        let order = self.order();
        let full = order.map(|direction| self.fill(cx, direction, buffer, allowance));
        self.record_faults()?;
        let mut more = false;
        for direction in Direction::BOTH {
            more |= self.drain(cx, direction)?;
        }
        for (direction, full) in order.into_iter().zip(full) {
            more |= full && self.room(direction) > 0;
        }
        Ok(more)
    }

    /// Reads into the chain: whether it stopped because there was no more room.
    fn fill(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> bool {
        while self.wants_more(direction) && *allowance > 0 {
            let room = self.room(direction).min(buffer.len());
            if room == 0 {
                return true;
            }
            let leg = self.source(direction).leg();
            let payload = match leg.poll_read(cx, &mut buffer[..room]) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => self.end_of(direction),
                Poll::Ready(Ok(n)) => {
                    *allowance = allowance.saturating_sub(n);
                    Payload::Data(Bytes::copy_from_slice(&buffer[..n]))
                }
                Poll::Ready(Err(error)) => {
                    self.source_broke(direction, &error);
                    Payload::End(How::Rst)
                }
            };
            if !self.target(direction).write_ended || matches!(payload, Payload::End(_)) {
                self.push(direction, payload);
            } else if let Payload::Data(dropped) = payload {
                self.observe(direction, &dropped);
            }
        }
        false
    }

    /// Writes what came out of the chain: whether this put something new into the chain.
    fn drain(&mut self, cx: &mut Context<'_>, direction: Direction) -> Step<bool> {
        let was_broken = self.target(direction).broken;
        while self.flush_unsent(cx, direction) && self.pipe.has_output(direction) {
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let filled = self.pipe.slices(direction, &mut slices);
            let target = &mut self.peers[direction.reverse() as usize];
            if filled > 0 && !target.broken && !target.write_ended {
                match target.poll_write(cx, &slices[..filled]) {
                    Poll::Pending => {
                        self.stalled(direction);
                        break;
                    }
                    Poll::Ready(Ok(n)) => {
                        self.pipe.consume(direction, n);
                        self.taken(direction, n);
                    }
                    Poll::Ready(Err(error)) => self.target_broke(direction, &error),
                }
            } else {
                match self.pipe.pop(direction) {
                    None => break,
                    Some(Payload::Eof) => self.finish(direction),
                    Some(Payload::End(how)) => return Err(self.ended_behind(direction, how)),
                    // Only for a target that is gone, or whose writing half was shut down.
                    Some(Payload::Data(_)) => {}
                }
            }
        }
        if self.source(direction).broken && self.pipe.end(direction) == Some(How::Rst) {
            // As with a reset on the wire, what the target would not take is lost: waiting for a
            // reader that may never come would keep the connection for ever.
            return Err(self.ended(How::Rst));
        }
        // The target had already ended its part, so no read will report its reset: the failed
        // write is the only sign of it.
        let target = self.target(direction);
        let is_new = !was_broken && target.broken && target.read_ended;
        if is_new {
            self.push(direction.reverse(), Payload::End(How::Rst));
        }
        Ok(is_new)
    }

    pub(super) fn push(&mut self, direction: Direction, payload: Payload) {
        let now = self.ledger.now();
        self.pipe.push(now, direction, payload);
    }

    /// How many bytes may be read into the chain. What is only dropped needs no room.
    pub(super) fn room(&mut self, direction: Direction) -> usize {
        if self.target(direction).write_ended {
            usize::MAX
        } else {
            self.pipe.room(direction)
        }
    }
}
