//! Reading and writing as soon as a socket is ready, each with the fewest system calls.
//!
//! Both try first and ask to be woken only if they were too early: most of the time a task was
//! woken because there is something to do. The tasks that call this bound their turns themselves,
//! by bytes.

use std::io::{self, IoSlice, Read};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads once; 0 means that the peer finished writing.
///
/// A read that does not fill the buffer has emptied the socket, so the runtime is told that it is
/// not ready: this spares the call that would only find that out. (The closure's `WouldBlock` is
/// how `try_io` is told.)
pub(super) fn poll_read(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> Poll<io::Result<usize>> {
    loop {
        let mut got = None;
        let result = stream.try_io(Interest::READABLE, || {
            let n = (&*SockRef::from(stream)).read(buffer)?;
            got = Some(n);
            if 0 < n && n < buffer.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match (got, result) {
            (Some(n), _) => return Poll::Ready(Ok(n)),
            (None, Err(error)) if is_passing(&error) => ready!(stream.poll_read_ready(cx))?,
            (None, Err(error)) => return Poll::Ready(Err(error)),
            (None, Ok(())) => {}
        }
    }
}

/// Writes once, as much as the kernel takes; not 0 for data that is not empty.
pub(super) fn poll_write(
    stream: &TcpStream,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    loop {
        let result = match pieces {
            [piece] => stream.try_write(piece),
            pieces => stream.try_write_vectored(pieces),
        };
        match result {
            Err(error) if is_passing(&error) => ready!(stream.poll_write_ready(cx))?,
            result => return Poll::Ready(result),
        }
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
