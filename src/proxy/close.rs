//! How the legs of a connection end.

use std::future::poll_fn;
use std::task::Poll;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::desk::{self, Desk};
use super::{limits, socket};
use crate::fault::How;
use crate::sys::net;

/// Ends the legs of a connection, the client's first, so that each peer sees what `how` says.
///
/// Closing a socket that holds unread input sends RST whatever was intended. So an orderly end
/// finishes writing, reads away what still comes, and closes at the peer's own end, but not later
/// than [`limits::LINGER`]. What is read away from the client is shown to `unread`.
pub(super) async fn close(
    legs: Vec<TcpStream>,
    how: How,
    desk: &Desk,
    mut unread: impl FnMut(&[u8]),
) {
    // An error here means that the peer is already gone: there is nobody left to tell.
    if how == How::Rst {
        for leg in legs {
            drop(net::reset_on_close(&leg));
        }
        return;
    }
    for leg in &legs {
        drop(net::finish_writing(leg));
    }
    let mut inlets: Vec<_> = legs.iter().map(socket::Inlet::new).collect();
    let read_away = poll_fn(|cx| {
        let mut buffer = desk.buffer();
        let mut allowance = limits::TURN_BYTES;
        let mut open = false;
        for (index, inlet) in inlets.iter_mut().enumerate() {
            open |= loop {
                if allowance == 0 {
                    desk::give_way(cx);
                    break true;
                }
                match inlet.poll_read(cx, &mut buffer) {
                    Poll::Pending => break true,
                    Poll::Ready(Ok(0) | Err(_)) => break false,
                    Poll::Ready(Ok(n)) => {
                        allowance = allowance.saturating_sub(n);
                        if index == 0 {
                            unread(&buffer[..n]);
                        }
                    }
                }
            };
        }
        if open { Poll::Pending } else { Poll::Ready(()) }
    });
    let _in_time = desk.within(limits::LINGER, read_away).await.is_some();
}

/// Waits until the kernel has sent what was written to a leg, but not longer than
/// [`limits::LINGER`]: a reset throws away what has not been sent.
pub(super) async fn deliver(leg: &TcpStream, desk: &Desk) {
    let sent = async {
        // An error here means that the peer is already gone: nothing can be delivered.
        if net::writable_once_sent(leg).is_ok() {
            drop(
                leg.async_io(Interest::WRITABLE, || net::can_write(leg))
                    .await,
            );
        }
    };
    let _in_time = desk.within(limits::LINGER, sent).await.is_some();
}
