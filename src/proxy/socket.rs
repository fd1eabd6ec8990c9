//! Reading and writing as soon as a socket is ready, each with the fewest system calls.
//!
//! Both try first and ask to be woken only if they were too early: most of the time a task was
//! woken because there is something to do. The tasks that call this bound their turns themselves,
//! by bytes, and have one waker each for as long as they read.

use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, SendFlags};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// The side of a socket from which one task reads.
#[derive(Debug)]
pub(super) struct Inlet<'a> {
    stream: &'a TcpStream,
    /// The runtime knows whom to wake, and has not done so since.
    waits: bool,
}

impl<'a> Inlet<'a> {
    pub(super) const fn new(stream: &'a TcpStream) -> Self {
        Self {
            stream,
            waits: false,
        }
    }

    /// Reads once; 0 means that the peer finished writing. If fewer bytes come than there is room
    /// for, there are no more at present, and the task will be woken for the next ones.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            let mut tried = false;
            let mut got = 0;
            let read = self.stream.try_io(Interest::READABLE, || {
                tried = true;
                got = rustix::net::recv(self.stream, &mut *buffer, RecvFlags::empty())?.0;
                // A read that does not fill the buffer has emptied the socket: told so, the runtime
                // spares the call that would only find that out.
                if 0 < got && got < buffer.len() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Ok(())
            });
            self.waits &= !tried;
            match read {
                Ok(()) => return Poll::Ready(Ok(got)),
                Err(_) if got > 0 => {
                    if self.poll_ready(cx)?.is_ready() {
                        cx.waker().wake_by_ref();
                    }
                    return Poll::Ready(Ok(got));
                }
                Err(error) if !is_passing(&error) => return Poll::Ready(Err(error)),
                Err(_) if self.poll_ready(cx)?.is_pending() => return Poll::Pending,
                Err(_) => {}
            }
        }
    }

    /// Asks to be woken, unless that was done.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        let ready = self.stream.poll_read_ready(cx);
        self.waits = ready.is_pending();
        ready
    }
}

/// Writes once, as much as the kernel takes; not 0 for data that is not empty.
pub(super) fn poll_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
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

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
