//! One leg of a connection, as the data plane sees it: an ordered stream of bytes each way.
//!
//! [`Tcp`] reads and writes with the fewest system calls. Both try first and register for a wake-up
//! only if they were too early: most of the time a task was woken because there is something to do.
//! The tasks that call this limit their turns themselves, by bytes, and have one waker each for as
//! long as they read.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

use crate::sys::net;

/// One leg of a connection. Dropping it closes it.
///
/// A transport that has bytes of its own to send (the alerts of TLS, its end of stream) keeps them
/// and sends them within any of the polls: one of them runs at every turn of the connection.
pub(super) trait Transport {
    /// Reads once; 0 means that the peer finished writing. If fewer bytes come than there is room
    /// for, there are no more at present, and the task will be woken for the next ones.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;

    /// Writes once, as much as is taken; not 0 for data that is not empty.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Ends the writing half; reading goes on. On a leg that is dead this does nothing.
    fn shutdown(&mut self);

    /// Makes the coming drop reset the connection. On a leg that is dead this does nothing.
    fn reset_on_drop(&mut self);

    /// Ready once the peer reset the connection. To be polled only while the leg is not being read: a
    /// read reports a reset itself.
    fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error>;

    /// Bytes that were written and that the peer has not acknowledged; an error if the peer is gone
    /// or this cannot be known.
    fn unacknowledged(&self) -> io::Result<u32>;

    /// Ready once everything that was written has been sent at least.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A plain TCP socket.
pub(super) struct Tcp {
    stream: Rc<TcpStream>,
    /// The task is registered for reading and was not woken since.
    waits: bool,
    /// Resolves when the peer reset the connection. Created at the first poll: an idle connection does
    /// not pay for it.
    error: Option<Pin<Box<dyn Future<Output = io::Error>>>>,
}

impl fmt::Debug for Tcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stream.fmt(f)
    }
}

impl Tcp {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Rc::new(stream),
            waits: false,
            error: None,
        }
    }

    /// Gives back the memory that [`Transport::poll_error`] takes.
    pub(super) fn forget_error(&mut self) {
        self.error = None;
    }

    /// Registers for a wake-up, unless that was done.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        let ready = self.stream.poll_read_ready(cx);
        self.waits = ready.is_pending();
        ready
    }
}

impl Transport for Tcp {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut tried = false;
            let mut got = 0;
            let read = self.stream.try_io(Interest::READABLE, || {
                tried = true;
                got = rustix::net::recv(&*self.stream, &mut *buffer, RecvFlags::empty())?.0;
                // A read that does not fill the buffer has emptied the socket. Saying so to the
                // runtime spares the call that would only find that out.
                if 0 < got && got < buffer.len() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            self.waits &= !tried;
            match read {
                Ok(()) => return Poll::Ready(Ok(got)),
                Err(_) if got > 0 => {
                    if self.poll_readable(cx)?.is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Ready(Ok(got));
                }
                Err(error) if !is_passing(&error) => return Poll::Ready(Err(error)),
                Err(_) if self.poll_readable(cx)?.is_pending() => return Poll::Pending,
                Err(_) => {}
            }
        }
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let stream = &*self.stream;
        loop {
            let written = match pieces {
                [piece] => stream.try_io(Interest::WRITABLE, || {
                    Ok(rustix::net::send(stream, piece, SendFlags::NOSIGNAL)?)
                }),
                pieces => stream.try_write_vectored(pieces),
            };
            match written {
                Err(error) if is_passing(&error) => ready!(stream.poll_write_ready(cx))?,
                written => return Poll::Ready(written),
            }
        }
    }

    fn shutdown(&mut self) {
        drop(net::finish_writing(&*self.stream));
    }

    fn reset_on_drop(&mut self) {
        drop(net::reset_on_close(&*self.stream));
    }

    fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let stream = &self.stream;
        let error = self.error.get_or_insert_with(|| {
            let stream = Rc::clone(stream);
            Box::pin(async move {
                // Fails only if the runtime ends.
                drop(stream.ready(Interest::ERROR).await);
                let pending = stream.take_error().ok().flatten();
                pending.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into())
            })
        });
        let error = ready!(error.as_mut().poll(cx));
        self.error = None;
        Poll::Ready(error)
    }

    fn unacknowledged(&self) -> io::Result<u32> {
        net::unacknowledged(&*self.stream)
    }

    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let stream = &*self.stream;
        if net::writable_once_sent(stream).is_err() {
            return Poll::Ready(());
        }
        loop {
            match stream.try_io(Interest::WRITABLE, || net::can_write(stream)) {
                Err(error) if is_passing(&error) => match ready!(stream.poll_write_ready(cx)) {
                    Ok(()) => {}
                    Err(_) => return Poll::Ready(()),
                },
                _ => return Poll::Ready(()),
            }
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;
    use tokio::time::timeout;

    use super::*;

    /// A leg with unread bytes, how many, and its peer, which has little room.
    async fn full() -> (Tcp, usize, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let mut leg = Tcp::new(stream.await.unwrap());
        let (peer, _) = listener.accept().await.unwrap();
        let bytes = vec![7; 1_000_000];
        let written = poll_fn(|cx| leg.poll_write(cx, &[IoSlice::new(&bytes)])).await;
        (leg, written.unwrap(), peer)
    }

    #[tokio::test]
    async fn bytes_count_as_unacknowledged_and_unsent_until_the_peer_takes_them() {
        let (mut leg, written, mut peer) = full().await;
        assert!(written > 400_000, "{written}");
        let all = u32::try_from(written).unwrap();
        assert!((all / 2..=all).contains(&leg.unacknowledged().unwrap()));
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(leg.poll_sent(cx).is_pending());
        let sent = timeout(Duration::from_secs(20), async {
            let read = async { peer.read_exact(&mut vec![0; written]).await.unwrap() };
            tokio::join!(poll_fn(|cx| leg.poll_sent(cx)), read)
        });
        assert_eq!(sent.await.unwrap().1, written);
        while leg.unacknowledged().unwrap() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_reset_is_an_error_though_bytes_before_it_are_unread() {
        let (mut leg, _, peer) = full().await;
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(leg.poll_error(cx).is_pending());
        net::reset_on_close(&peer).unwrap();
        drop(peer);
        let error = timeout(Duration::from_secs(20), poll_fn(|cx| leg.poll_error(cx)));
        assert_eq!(error.await.unwrap().kind(), io::ErrorKind::ConnectionReset);
    }
}
