//! Drives both directions of one connection.
//!
//! While no fault is in force and nothing is parked, bytes go from socket to socket through the
//! buffer that the thread shares, and a connection keeps only what its peer would not take.
//! Otherwise they go through the [`Pipe`](super::pipe::Pipe). Both ways keep order, half-close and
//! back-pressure: nothing is read while there is no room for it.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{Interest, Ready};
use tokio::net::TcpStream;

use super::desk::{self, Desk};
use super::limits;
use super::link::{Ending, Link};
use super::socket::{Inlet, poll_write};
use super::timer::Timer;
use crate::event::ClosedBy;
use crate::fault::{Direction, How, Payload};
use crate::sys::net;

/// Where a connection comes to that was carried.
pub(super) enum Course {
    /// It ends.
    Ended(Ending),
    /// It is to go on with the worker of this number.
    Moving(Ways, usize),
}

/// Carries bytes until the connection ends or is to leave this worker. A new one begins with the
/// default of `ways`, one from another worker with what that left.
pub(super) async fn relay(
    link: &mut Link,
    client: &TcpStream,
    server: &TcpStream,
    ways: Ways,
    desk: &Desk,
) -> Course {
    let mut relay = Relay {
        link,
        sockets: [client, server],
        inlets: [client, server].map(Inlet::new),
        ways,
        resets: [None, None],
        timer: desk.timer(),
        first: Direction::Upstream,
    };
    let shift = desk.shift();
    let mut last_turn = 0;
    poll_fn(|cx| {
        let called = shift.turn(&mut last_turn);
        if let Some(worker) = called.filter(|_| relay.can_move()) {
            shift.left();
            return Poll::Ready(Course::Moving(std::mem::take(&mut relay.ways), worker));
        }
        relay.poll(cx, &mut desk.buffer()).map(Course::Ended)
    })
    .await
}

/// What was read of the two directions and has yet to be written, and how far they are.
#[derive(Debug, Default)]
pub(super) struct Ways {
    each: [Way; 2],
    /// Who was the first to end its half.
    ended_by: Option<ClosedBy>,
}

struct Relay<'a> {
    link: &'a mut Link,
    /// Where each direction reads; it writes to the other's.
    sockets: [&'a TcpStream; 2],
    inlets: [Inlet<'a>; 2],
    ways: Ways,
    /// Each resolves when a direction's source was reset. Only looked at while nobody reads it: a
    /// reader sees it.
    resets: [Option<Reset<'a>>; 2],
    timer: Timer,
    /// Which direction comes first.
    first: Direction,
}

type Reset<'a> = Pin<Box<dyn Future<Output = io::Result<Ready>> + 'a>>;

/// One direction.
#[derive(Debug, Default)]
struct Way {
    /// Bytes that left the chain (or met none) and that the destination would not take yet.
    spill: Bytes,
    /// The source's end was read: nothing more comes.
    closed: bool,
    /// The end was passed on: nothing more goes. What still comes after an end that a fault made up
    /// is read and dropped.
    done: bool,
    /// The destination is gone: what still comes for it is dropped.
    mute: bool,
}

/// Goes on, or the connection ends.
type Step<T = ()> = Result<T, Ending>;

impl<'a> Relay<'a> {
    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Ending> {
        match self.turn(cx, buffer) {
            Err(ending) => Poll::Ready(ending),
            Ok(()) if self.ways.each.iter().all(|way| way.done) => {
                // An end that a fault made up leaves a peer behind that goes on.
                let all_closed = self.ways.each.iter().all(|way| way.closed);
                Poll::Ready(self.ended((!all_closed).then_some(How::Fin)))
            }
            Ok(()) => Poll::Pending,
        }
    }

    /// A chain stays where its timer is.
    fn can_move(&self) -> bool {
        self.link.pipe.idle()
    }

    /// Moves what can be moved now, and arranges to be woken for the rest.
    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Step {
        if let Some(ending) = self.link.obey(cx) {
            return Err(ending);
        }
        let mut allowance = limits::TURN_BYTES;
        while allowance > 0 {
            let direct = self.link.pipe.idle();
            let more = if direct {
                for direction in self.order() {
                    self.pass(cx, direction, buffer, &mut allowance)?;
                }
                false
            } else {
                self.distort(cx, buffer, &mut allowance)?
            };
            if more || self.link.pipe.idle() != direct {
                continue;
            }
            let wake = self.link.pipe.next_wake();
            if wake.is_some_and(|at| self.timer.poll(cx, at).is_ready()) {
                continue;
            }
            if self.notice_resets(cx)? {
                continue;
            }
            if allowance > 0 {
                return Ok(());
            }
        }
        // There may be more to move, but others of this thread come first, and then whichever way
        // found nothing left of the allowance.
        self.first = self.first.reverse();
        desk::give_way(cx);
        Ok(())
    }

    /// Socket to socket, without a chain.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        direction: Direction,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step {
        while self.flush_spill(cx, direction) && self.wants_more(direction) && *allowance > 0 {
            match self.inlets[direction as usize].poll_read(cx, buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => match self.end_of(direction) {
                    Payload::End(how) => return Err(self.ended(how)),
                    _ => self.finish(direction),
                },
                Poll::Ready(Ok(n)) => {
                    let read = self.link.clock_in(direction);
                    self.link.observe(direction, &buffer[..n]);
                    *allowance = allowance.saturating_sub(n);
                    if !self.way(direction).done && self.write(cx, direction, &buffer[..n]) {
                        self.link.clock_out(read);
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
        if self.way(direction).mute && self.way(direction.reverse()).closed {
            return Err(self.ended(How::Rst));
        }
        Ok(())
    }

    /// Writes what the destination takes; the rest becomes the spill. Whether it took all at once.
    fn write(&mut self, cx: &mut Context<'_>, direction: Direction, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match poll_write(self.target(direction), cx, &[IoSlice::new(bytes)]) {
                Poll::Pending => {
                    self.way(direction).spill = Bytes::copy_from_slice(bytes);
                    self.link.stalls(direction);
                    return false;
                }
                Poll::Ready(Ok(n)) => {
                    self.link.passed(direction, n);
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

    /// Whether nothing is left of the spill.
    fn flush_spill(&mut self, cx: &mut Context<'_>, direction: Direction) -> bool {
        self.way(direction).spill.is_empty() || self.write_spill(cx, direction)
    }

    fn write_spill(&mut self, cx: &mut Context<'_>, direction: Direction) -> bool {
        while !self.way(direction).spill.is_empty() {
            let target = self.target(direction);
            match poll_write(target, cx, &[IoSlice::new(&self.way(direction).spill)]) {
                Poll::Pending => {
                    self.link.stalls(direction);
                    return false;
                }
                Poll::Ready(Ok(n)) => {
                    self.way(direction).spill.advance(n);
                    self.link.passed(direction, n);
                    self.link.card.flows(direction);
                }
                Poll::Ready(Err(error)) => self.target_broke(direction, &error),
            }
        }
        // Gives the memory back: an idle connection keeps none.
        self.way(direction).spill = Bytes::new();
        true
    }

    /// Through the chain: whether there is more to move at once.
    fn distort(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step<bool> {
        let now = self.link.route.recorder.clock().now();
        if self.link.pipe.next_wake().is_some_and(|at| at <= now) {
            self.link.pipe.advance(now);
        }
        let order = self.order();
        let full = order.map(|direction| self.fill(cx, direction, buffer, allowance));
        if let Some(ending) = self.link.report() {
            return Err(ending);
        }
        let mut more = false;
        for direction in Direction::BOTH {
            more |= self.drain(cx, direction)?;
        }
        for (direction, full) in order.into_iter().zip(full) {
            more |= full && self.link.pipe.room(direction) > 0;
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
            let room = self.link.pipe.room(direction).min(buffer.len());
            if room == 0 {
                return true;
            }
            let inlet = &mut self.inlets[direction as usize];
            let payload = match inlet.poll_read(cx, &mut buffer[..room]) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => {
                    self.way(direction).closed = true;
                    self.end_of(direction)
                }
                Poll::Ready(Ok(n)) => {
                    *allowance = allowance.saturating_sub(n);
                    self.link.observe(direction, &buffer[..n]);
                    Payload::Data(Bytes::copy_from_slice(&buffer[..n]))
                }
                Poll::Ready(Err(error)) => {
                    self.source_broke(direction, &error);
                    Payload::End(How::Rst)
                }
            };
            if !self.way(direction).done || matches!(payload, Payload::End(_)) {
                self.push(direction, payload);
            }
        }
        false
    }

    /// Writes what came out of the chain: whether the chain got news by it.
    fn drain(&mut self, cx: &mut Context<'_>, direction: Direction) -> Step<bool> {
        let was_mute = self.way(direction).mute;
        while self.flush_spill(cx, direction) && self.link.pipe.has_output(direction) {
            let target = self.target(direction);
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let filled = self.link.pipe.slices(direction, &mut slices);
            let way = &self.ways.each[direction as usize];
            if filled > 0 && !way.mute && !way.done {
                match poll_write(target, cx, &slices[..filled]) {
                    Poll::Pending => {
                        self.link.stalls(direction);
                        break;
                    }
                    Poll::Ready(Ok(n)) => {
                        self.link.pipe.consume(direction, n);
                        self.link.passed(direction, n);
                        self.link.card.flows(direction);
                    }
                    Poll::Ready(Err(error)) => self.target_broke(direction, &error),
                }
            } else {
                match self.link.pipe.pop(direction) {
                    None => break,
                    Some(Payload::Eof) => self.finish(direction),
                    Some(Payload::End(how)) => return Err(self.ended(how)),
                    // Only for a destination that is gone, or was told that nothing more comes.
                    Some(Payload::Data(_)) => {}
                }
            }
        }
        // Nobody reads a destination that has ended its part: its reset was seen here, or never is.
        let is_gone = !was_mute && self.way(direction).mute;
        let is_news = is_gone && self.way(direction.reverse()).closed;
        if is_news {
            self.push(direction.reverse(), Payload::End(How::Rst));
        }
        Ok(is_news)
    }

    /// Looks for resets of sources that nobody reads at present: whether the chain got news.
    fn notice_resets(&mut self, cx: &mut Context<'_>) -> Step<bool> {
        let direct = self.link.pipe.idle();
        let mut news = false;
        for direction in Direction::BOTH {
            let idle = self.wants_more(direction)
                && self.way(direction).spill.is_empty()
                && (direct || self.link.pipe.room(direction) > 0);
            if idle || self.way(direction.reverse()).mute {
                continue;
            }
            let source = self.source(direction);
            let reset = self.resets[direction as usize]
                .get_or_insert_with(|| Box::pin(source.ready(Interest::ERROR)));
            if reset.as_mut().poll(cx).is_pending() {
                continue;
            }
            let told = source.take_error().ok().flatten();
            let error = told.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
            self.source_broke(direction, &error);
            if direct {
                return Err(self.ended(How::Rst));
            }
            self.push(direction, Payload::End(How::Rst));
            news = true;
        }
        Ok(news)
    }

    /// The source's input ended: in a half-close, unless it is known to be gone altogether.
    fn end_of(&mut self, direction: Direction) -> Payload {
        self.way(direction).closed = true;
        self.blame(direction);
        if self.way(direction.reverse()).mute {
            Payload::End(How::Rst)
        } else {
            Payload::Eof
        }
    }

    /// Passes a half-close on.
    fn finish(&mut self, direction: Direction) {
        self.way(direction).done = true;
        // Fails only if the destination is gone, which the other direction will see.
        drop(net::finish_writing(self.target(direction)));
    }

    fn source_broke(&mut self, direction: Direction, error: &io::Error) {
        self.way(direction).closed = true;
        self.way(direction.reverse()).mute = true;
        self.link.card.flows(direction.reverse());
        self.broke(direction, error);
    }

    /// The destination is gone. What it had sent is still read and delivered, a reset behind it.
    fn target_broke(&mut self, direction: Direction, error: &io::Error) {
        let way = self.way(direction);
        way.mute = true;
        way.spill = Bytes::new();
        self.link.card.flows(direction);
        self.broke(direction.reverse(), error);
    }

    /// The socket that `direction` reads failed.
    fn broke(&mut self, direction: Direction, error: &io::Error) {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        if matches!(error.kind(), ConnectionReset | BrokenPipe) {
            self.blame(direction);
        } else if self.ways.ended_by.is_none() {
            self.ways.ended_by = Some(ClosedBy::Error(error.to_string()));
        }
    }

    /// The peer that `direction` reads has ended its part.
    fn blame(&mut self, direction: Direction) {
        self.ways.ended_by.get_or_insert(match direction {
            Direction::Upstream => ClosedBy::Client,
            Direction::Downstream => ClosedBy::Upstream,
        });
    }

    fn ended(&mut self, how: impl Into<Option<How>>) -> Ending {
        let seen = self.ways.ended_by.take();
        self.link.ended(how.into(), seen)
    }

    fn order(&self) -> [Direction; 2] {
        [self.first, self.first.reverse()]
    }

    fn push(&mut self, direction: Direction, payload: Payload) {
        let now = self.link.route.recorder.clock().now();
        self.link.pipe.push(now, direction, payload);
    }

    /// Whether the source may still send something that the destination wants.
    fn wants_more(&mut self, direction: Direction) -> bool {
        let way = self.way(direction);
        !way.closed && !way.mute
    }

    fn way(&mut self, direction: Direction) -> &mut Way {
        &mut self.ways.each[direction as usize]
    }

    fn source(&self, direction: Direction) -> &'a TcpStream {
        self.sockets[direction as usize]
    }

    fn target(&self, direction: Direction) -> &'a TcpStream {
        self.source(direction.reverse())
    }
}
