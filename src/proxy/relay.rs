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
use crate::fault::{Direction, How, Payload};
use crate::sys::net;

/// Carries bytes until the connection ends.
pub(super) async fn relay(
    link: &mut Link,
    client: &TcpStream,
    server: &TcpStream,
    desk: &Desk,
) -> Ending {
    let mut relay = Relay {
        link,
        sockets: [client, server],
        inlets: [client, server].map(Inlet::new),
        progress: Progress::default(),
        resets: [None, None],
        timer: desk.timer(),
        first: Direction::Upstream,
    };
    poll_fn(|cx| relay.poll(cx, &mut desk.buffer())).await
}

/// How far a connection has come.
#[derive(Debug, Default)]
struct Progress {
    /// The client and the server, each by the direction in which it sends.
    peers: [Peer; 2],
    /// For each direction, bytes that left the chain (or met none) and that the destination would
    /// not take yet.
    spills: [Bytes; 2],
}

/// One side of a connection.
#[derive(Debug, Default)]
struct Peer {
    /// Its end was read: nothing more comes from it.
    ended: bool,
    /// It was told that nothing more comes. What still comes for it, after an end that a fault made
    /// up, is read and dropped.
    told: bool,
    /// It was reset, or a write to it failed: what still comes for it is dropped.
    gone: bool,
}

struct Relay<'a> {
    link: &'a mut Link,
    /// Where each direction reads; it writes to the other's.
    sockets: [&'a TcpStream; 2],
    inlets: [Inlet<'a>; 2],
    progress: Progress,
    /// Each resolves when a direction's source was reset. Polled only while the source is not being
    /// read; a read would report the reset itself.
    resets: [Option<Reset<'a>>; 2],
    timer: Timer,
    /// Which direction comes first.
    first: Direction,
}

type Reset<'a> = Pin<Box<dyn Future<Output = io::Result<Ready>> + 'a>>;

/// Goes on, or the connection ends.
type Step<T = ()> = Result<T, Ending>;

impl<'a> Relay<'a> {
    fn poll(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Ending> {
        match self.turn(cx, buffer) {
            Err(ending) => Poll::Ready(ending),
            Ok(()) if self.progress.peers.iter().all(|peer| peer.told) => {
                // An end that a fault made up leaves a peer behind that goes on.
                let all_ended = self.progress.peers.iter().all(|peer| peer.ended);
                Poll::Ready(self.link.ended((!all_ended).then_some(How::Fin)))
            }
            Ok(()) => Poll::Pending,
        }
    }

    /// Moves what can be moved now, and arranges to be woken for the rest.
    fn turn(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Step {
        if self.link.obey(cx)? {
            // A change is in force once every connection follows it, so the others come before the
            // bytes of this one: a turn of each would take hundreds of them a second.
            desk::give_way(cx);
            return Ok(());
        }
        let mut allowance = limits::TURN_BYTES;
        while allowance > 0 {
            let again = self.step(cx, buffer, &mut allowance)?;
            if !again && allowance > 0 {
                return Ok(());
            }
        }
        // There may be more to move, but others of this thread come first, and then whichever way
        // found nothing left of the allowance.
        self.first = self.first.reverse();
        desk::give_way(cx);
        Ok(())
    }

    /// One part of a turn: whether another one may find something to do at once.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        allowance: &mut usize,
    ) -> Step<bool> {
        let direct = self.link.pipe.idle();
        let mut again = false;
        if direct {
            for direction in self.order() {
                self.pass(cx, direction, buffer, allowance)?;
            }
        } else {
            again = self.distort(cx, buffer, allowance)?;
        }
        if again || self.link.pipe.idle() != direct {
            return Ok(true);
        }
        let wake = self.link.pipe.next_wake();
        if wake.is_some_and(|at| self.timer.poll(cx, at).is_ready()) {
            return Ok(true);
        }
        self.notice_resets(cx)
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
                    Payload::End(how) => return Err(self.link.ended(how)),
                    _ => self.finish(direction),
                },
                Poll::Ready(Ok(n)) => {
                    let read = self.link.clock_in(direction);
                    self.link.observe(direction, &buffer[..n]);
                    *allowance = allowance.saturating_sub(n);
                    if !self.target(direction).told && self.write(cx, direction, &buffer[..n]) {
                        self.link.clock_out(read);
                    }
                    if n < buffer.len() {
                        break;
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.source_broke(direction, &error);
                    return Err(self.link.ended(How::Rst));
                }
            }
        }
        let target = self.target(direction);
        if target.gone && target.ended {
            return Err(self.link.ended(How::Rst));
        }
        Ok(())
    }

    /// Writes what the destination takes; the rest becomes the spill. Whether it took all at once.
    fn write(&mut self, cx: &mut Context<'_>, direction: Direction, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match poll_write(self.outlet(direction), cx, &[IoSlice::new(bytes)]) {
                Poll::Pending => {
                    *self.spill(direction) = Bytes::copy_from_slice(bytes);
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
        self.spill(direction).is_empty() || self.write_spill(cx, direction)
    }

    fn write_spill(&mut self, cx: &mut Context<'_>, direction: Direction) -> bool {
        let target = self.outlet(direction);
        while !self.spill(direction).is_empty() {
            match poll_write(target, cx, &[IoSlice::new(self.spill(direction))]) {
                Poll::Pending => {
                    self.link.stalls(direction);
                    return false;
                }
                Poll::Ready(Ok(n)) => {
                    self.spill(direction).advance(n);
                    self.link.passed(direction, n);
                    self.link.card.flows(direction);
                }
                Poll::Ready(Err(error)) => self.target_broke(direction, &error),
            }
        }
        // Gives the memory back: an idle connection keeps none.
        *self.spill(direction) = Bytes::new();
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
            let inlet = &mut self.inlets[direction as usize];
            let payload = match inlet.poll_read(cx, &mut buffer[..room]) {
                Poll::Pending => return false,
                Poll::Ready(Ok(0)) => self.end_of(direction),
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
            if !self.target(direction).told || matches!(payload, Payload::End(_)) {
                self.push(direction, payload);
            }
        }
        false
    }

    /// Writes what came out of the chain: whether the chain got news by it.
    fn drain(&mut self, cx: &mut Context<'_>, direction: Direction) -> Step<bool> {
        let was_gone = self.target(direction).gone;
        while self.flush_spill(cx, direction) && self.link.pipe.has_output(direction) {
            let mut slices = [IoSlice::new(&[]); limits::WRITE_PIECES];
            let filled = self.link.pipe.slices(direction, &mut slices);
            let target = &self.progress.peers[direction.reverse() as usize];
            if filled > 0 && !target.gone && !target.told {
                match poll_write(self.outlet(direction), cx, &slices[..filled]) {
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
                    Some(Payload::End(how)) => return Err(self.end_behind(direction, how)),
                    // Only for a destination that is gone, or was told that nothing more comes.
                    Some(Payload::Data(_)) => {}
                }
            }
        }
        if self.source(direction).gone && self.link.pipe.ends_in_reset(direction) {
            // As with a reset on the wire, what the destination would not take is lost: waiting for
            // a reader that may never come would keep the connection for ever.
            return Err(self.link.ended(How::Rst));
        }
        // The destination had already ended its part, so no read will report its reset: the failed
        // write is the only sign of it.
        let target = self.target(direction);
        let is_news = !was_gone && target.gone && target.ended;
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
            let reading = self.wants_more(direction)
                && self.spill(direction).is_empty()
                && (direct || self.room(direction) > 0);
            if reading || self.source(direction).gone {
                continue;
            }
            let source = self.sockets[direction as usize];
            let reset = self.resets[direction as usize]
                .get_or_insert_with(|| Box::pin(source.ready(Interest::ERROR)));
            if reset.as_mut().poll(cx).is_pending() {
                continue;
            }
            let told = source.take_error().ok().flatten();
            let error = told.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into());
            self.source_broke(direction, &error);
            if direct {
                return Err(self.link.ended(How::Rst));
            }
            self.push(direction, Payload::End(How::Rst));
            news = true;
        }
        Ok(news)
    }

    /// The source's input ended: in a half-close, unless it is known to be gone altogether.
    fn end_of(&mut self, direction: Direction) -> Payload {
        self.link.left(direction);
        let source = self.source(direction);
        source.ended = true;
        if source.gone {
            Payload::End(How::Rst)
        } else {
            Payload::Eof
        }
    }

    /// Passes a half-close on, the source's own or one that a fault made up.
    fn finish(&mut self, direction: Direction) {
        if !self.source(direction).ended {
            self.link.half_closed_by_fault();
        }
        self.target(direction).told = true;
        // Fails only if the destination is gone, which the other direction will see.
        drop(net::finish_writing(self.outlet(direction)));
    }

    /// An end of the whole connection came out of the chain: the source's reset, or a fault's end.
    fn end_behind(&mut self, direction: Direction, how: How) -> Ending {
        if self.source(direction).gone {
            self.link.ended(how)
        } else {
            self.link.ended_by_fault(how, direction)
        }
    }

    fn source_broke(&mut self, direction: Direction, error: &io::Error) {
        let source = self.source(direction);
        source.ended = true;
        source.gone = true;
        self.link.card.flows(direction.reverse());
        self.link.broke(direction, error);
    }

    /// The destination is gone. What it had sent is still read and delivered, a reset behind it.
    fn target_broke(&mut self, direction: Direction, error: &io::Error) {
        self.target(direction).gone = true;
        *self.spill(direction) = Bytes::new();
        self.link.card.flows(direction);
        self.link.broke(direction.reverse(), error);
    }

    fn order(&self) -> [Direction; 2] {
        [self.first, self.first.reverse()]
    }

    fn push(&mut self, direction: Direction, payload: Payload) {
        let now = self.link.route.recorder.clock().now();
        self.link.pipe.push(now, direction, payload);
    }

    /// How many bytes may be read into the chain. What is only dropped needs no room.
    fn room(&mut self, direction: Direction) -> usize {
        if self.target(direction).told {
            usize::MAX
        } else {
            self.link.pipe.room(direction)
        }
    }

    /// Whether the source may still send something that the destination wants.
    fn wants_more(&mut self, direction: Direction) -> bool {
        !self.source(direction).ended && !self.target(direction).gone
    }

    fn spill(&mut self, direction: Direction) -> &mut Bytes {
        &mut self.progress.spills[direction as usize]
    }

    fn source(&mut self, direction: Direction) -> &mut Peer {
        &mut self.progress.peers[direction as usize]
    }

    fn target(&mut self, direction: Direction) -> &mut Peer {
        self.source(direction.reverse())
    }

    /// The destination's socket.
    fn outlet(&self, direction: Direction) -> &'a TcpStream {
        self.sockets[direction.reverse() as usize]
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::Waker;
    use std::time::Duration;

    use tokio::net::TcpListener;

    use super::*;
    use crate::action::Protocol;
    use crate::event::bus;
    use crate::proxy::Route;
    use crate::proxy::board::Board;
    use crate::proxy::stats::{Counters, OpenGuard};
    use crate::units::{Clock, Reach};

    /// Both ends of a connection.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap());
        let (near, far) = tokio::join!(near, listener.accept());
        (near.unwrap(), far.unwrap().0)
    }

    #[tokio::test]
    async fn a_change_is_followed_before_bytes_are_moved() {
        let clock = Clock::start();
        let route = Arc::new(Route {
            name: "p".into(),
            protocol: Protocol::Tcp,
            upstream: String::new(),
            reach: Reach::default(),
            dial_timeout: Duration::ZERO,
            keepalive: None,
            max_connections: 1,
            seed: 0,
            recorder: bus(clock).0,
            board: Arc::new(Board::new(clock, 1)),
            counters: Arc::new(Counters::new(1)),
            own_counters: Arc::new(Counters::new(1)),
            budget: Arc::default(),
        });
        let orders = route.board.admit(false);
        let (open, card) = OpenGuard::new(&route.counters, orders.conn());
        let (opened, address) = (clock.now(), Ipv4Addr::LOCALHOST.into());
        let mut link = Link::new(Arc::clone(&route), orders, open, card, address, opened, 0);
        let desk = Desk::new(0, clock).unwrap();
        let ((from, client), (server, to)) = (pair().await, pair().await);
        let mut relay = pin!(relay(&mut link, &client, &server, &desk));
        let cx = &mut Context::from_waker(Waker::noop());
        let mut turn = || {
            assert!(relay.as_mut().poll(cx).is_pending());
            route.counters.snapshot().bytes_upstream
        };
        assert_eq!(turn(), 0, "the first turn looks what holds");
        assert_eq!(from.try_write(b"hello").unwrap(), 5);
        client.readable().await.unwrap();
        server.writable().await.unwrap();
        let change = route.board.retain(|_| true);
        assert_eq!(turn(), 0);
        assert!(change.settled().await.is_some());
        assert_eq!(turn(), 5);
        drop(to);
    }
}
