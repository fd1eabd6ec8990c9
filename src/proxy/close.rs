//! How the legs of a connection end.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

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

/// Waits until the peer of a leg has acknowledged what was written to it: a reset throws away what
/// it has not. A peer that reads slowly gets all the time it needs; one that acknowledges nothing
/// for as long as `patience` does not.
pub(super) async fn deliver(leg: &TcpStream, desk: &Desk, patience: Duration) {
    let mut least = u32::MAX;
    let mut deadline = desk.now();
    while let Ok(left) = net::unacknowledged(leg) {
        let now = desk.now();
        if left < least {
            (least, deadline) = (left, now + patience);
        }
        if left == 0 || now >= deadline {
            return;
        }
        desk.sleep(limits::ACKNOWLEDGEMENTS).await;
    }
    // The peer is gone, or this kernel cannot tell.
    let sent = async {
        if net::writable_once_sent(leg).is_ok() {
            drop(
                leg.async_io(Interest::WRITABLE, || net::can_write(leg))
                    .await,
            );
        }
    };
    let _in_time = desk.within(limits::LINGER, sent).await.is_some();
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::ConnectionReset;

    use tokio::io::AsyncReadExt;
    use tokio::net::TcpSocket;

    use super::*;
    use crate::units::Clock;

    const PATIENCE: Duration = Duration::from_millis(300);

    /// A leg full of unread bytes, how many, and its peer, which has little room.
    async fn full() -> (TcpStream, usize, TcpStream) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 << 10).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let leg = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (peer, _) = listener.accept().await.unwrap();
        leg.writable().await.unwrap();
        let written = leg.try_write(&vec![7; 1_000_000]).unwrap();
        assert!(written > 400_000, "{written}");
        (leg, written, peer)
    }

    /// Delivers to a peer that does as `reading` says, and resets.
    async fn deliver_and_reset(leg: TcpStream, reading: impl Future<Output = ()>) -> Duration {
        let desk = Desk::new(0, Clock::start()).unwrap();
        let delivered = async {
            deliver(&leg, &desk, PATIENCE).await;
            let took = desk.now().since(crate::units::Moment::ZERO);
            close(vec![leg], How::Rst, &desk, |_| {}).await;
            took
        };
        tokio::select! {
            (took, ()) = async { tokio::join!(delivered, reading) } => took,
            error = desk.ring() => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn a_slow_reader_gets_everything_before_the_reset() {
        let (leg, written, mut peer) = full().await;
        let reading = async {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            let (mut got, mut buffer) = (0, vec![0; 12 << 10]);
            let end = loop {
                tick.tick().await;
                match peer.read(&mut buffer).await {
                    Ok(n) if n > 0 => got += n,
                    end => break end.map_err(|error| error.kind()),
                }
            };
            assert_eq!((got, end), (written, Err(ConnectionReset)));
        };
        let took = deliver_and_reset(leg, reading).await;
        assert!(took > 2 * PATIENCE, "{took:?} is no slow reader");
    }

    #[tokio::test]
    async fn a_peer_that_never_reads_is_reset_when_patience_ends() {
        let (leg, written, mut peer) = full().await;
        let took = deliver_and_reset(leg, async {}).await;
        assert!((PATIENCE..10 * PATIENCE).contains(&took), "{took:?}");
        let mut got = Vec::new();
        let end = peer
            .read_to_end(&mut got)
            .await
            .map_err(|error| error.kind());
        assert_eq!(end, Err(ConnectionReset));
        assert!(got.len() < written);
    }
}
