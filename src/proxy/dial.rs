//! Connections to the server.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use scopeguard::{ScopeGuard, guard};
use tokio::net::{TcpStream, lookup_host};

use super::context::WorkerContext;
use crate::fault::How;
use crate::sys::net;
use crate::units::{Moment, Reach};

/// Connects to `upstream` (`host:port`) within `limit`, or says why it cannot be reached.
///
/// A name may stand for several addresses, as `localhost` does for `::1` and `127.0.0.1`. They are
/// tried in the order in which the system gives them. If the dial is given up, a server that was
/// reached already sees the end that `fate` says. An address out of `reach` is not dialled.
pub(super) async fn dial(
    (upstream, reach): (&str, Reach),
    limit: Duration,
    context: &WorkerContext,
    fate: &Cell<How>,
) -> Result<TcpStream, String> {
    let deadline = context.now() + limit;
    let addresses: Vec<SocketAddr> = match context.within(limit, lookup_host(upstream)).await {
        Some(Ok(addresses)) => addresses.collect(),
        Some(Err(error)) => return Err(format!("cannot find {upstream}: {error}")),
        None => return Err(format!("cannot find {upstream} within {limit:.1?}")),
    };
    first_of(&addresses, reach, deadline, context, fate).await
}

/// Connects to the first address that answers. Each may take an equal part of the time that is
/// left, so that one that does not answer leaves time for those behind it.
async fn first_of(
    addresses: &[SocketAddr],
    reach: Reach,
    deadline: Moment,
    context: &WorkerContext,
    fate: &Cell<How>,
) -> Result<TcpStream, String> {
    let mut failures = Vec::new();
    for (address, untried) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let limit = deadline.since(context.now()).div_f64(untried as f64);
        let failure = match context.within(limit, connect(*address, reach, fate)).await {
            Some(Ok(server)) => return Ok(server),
            Some(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                format!("connection refused by {address}")
            }
            Some(Err(error)) => format!("cannot connect to {address}: {error}"),
            None => format!("no answer from {address} within {limit:.1?}"),
        };
        tracing::debug!("{failure}");
        failures.push(failure);
    }
    Err(failures.join(", "))
}

async fn connect(address: SocketAddr, reach: Reach, fate: &Cell<How>) -> io::Result<TcpStream> {
    reach.permit(address)?;
    let leg = TcpStream::from_std(net::begin_to_connect(address)?)?;
    let leg = guard(leg, |leg| {
        if fate.get() == How::Rst {
            // Fails only on a socket that is already dead.
            drop(net::reset_on_close(&leg));
        }
    });
    poll_fn(|cx| leg.poll_write_ready(cx)).await?;
    match leg.take_error()? {
        None if is_connected_to_itself(&leg)? => Err(io::ErrorKind::ConnectionRefused.into()),
        None => Ok(ScopeGuard::into_inner(leg)),
        Some(error) => Err(error),
    }
}

/// A socket that connects to a port of this machine where no process listens may be given that very port
/// as its own, and then meets itself (RFC 9293, simultaneous open).
fn is_connected_to_itself(leg: &TcpStream) -> io::Result<bool> {
    Ok(leg.local_addr()? == leg.peer_addr()?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
    use std::pin::pin;
    use std::task::{Context, Waker};

    use tokio::net::TcpSocket;
    use tokio::select;

    use super::*;
    use crate::units::Clock;

    const LIMIT: Duration = Duration::from_millis(400);

    /// Listens on a port of its own at both loopback addresses.
    fn listeners() -> [TcpListener; 2] {
        let first = net::listen((Ipv6Addr::LOCALHOST, 0).into()).unwrap();
        let second = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        [first, second]
    }

    fn context() -> WorkerContext {
        WorkerContext::new(0, Clock::start()).unwrap()
    }

    /// Dials both; gives the one that was reached.
    async fn reached(listeners: &[TcpListener; 2]) -> Result<SocketAddr, String> {
        let context = context();
        let addresses = listeners.each_ref().map(|one| one.local_addr().unwrap());
        let deadline = context.now() + LIMIT;
        let fate = Cell::default();
        select! {
            server = first_of(&addresses, Reach::Loopback, deadline, &context, &fate) => {
                Ok(server?.peer_addr().unwrap())
            }
            error = context.run_timers() => panic!("{error}"),
        }
    }

    #[tokio::test]
    async fn the_first_address_that_answers_is_taken() {
        let listeners = listeners();
        let [first, second] = listeners.each_ref().map(|one| one.local_addr().unwrap());
        assert_eq!(reached(&listeners).await, Ok(first));
        net::refuse(&listeners[0]).unwrap();
        assert_eq!(reached(&listeners).await, Ok(second));
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_leaves_time_for_the_next() {
        let listeners = listeners();
        let second = listeners[1].local_addr().unwrap();
        let _full = net::ignore(&listeners[0]).unwrap();
        assert_eq!(reached(&listeners).await, Ok(second));
    }

    #[tokio::test]
    async fn every_address_that_failed_is_named() {
        let listeners = listeners();
        let [first, second] = listeners.each_ref().map(|one| one.local_addr().unwrap());
        net::refuse(&listeners[0]).unwrap();
        let _full = net::ignore(&listeners[1]).unwrap();
        let why = reached(&listeners).await.unwrap_err();
        let expected = format!("connection refused by {first}, no answer from {second} within ");
        assert!(why.starts_with(&expected), "{why}");
    }

    #[tokio::test]
    async fn a_server_sees_how_a_dial_was_given_up_that_had_reached_it() {
        let server = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = server.local_addr().unwrap();
        for (how, seen) in [
            (How::Fin, Ok(0)),
            (How::Rst, Err(io::ErrorKind::ConnectionReset)),
        ] {
            let fate = Cell::default();
            {
                let mut dial = pin!(connect(address, Reach::Loopback, &fate));
                let cx = &mut Context::from_waker(Waker::noop());
                assert!(dial.as_mut().poll(cx).is_pending());
                fate.set(how);
            }
            let (mut reached, _) = net::accept(&server).unwrap();
            reached.set_nonblocking(false).unwrap();
            let end = reached.read(&mut [0]).map_err(|error| error.kind());
            assert_eq!(end, seen, "{how:?}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_met_itself_reached_no_server() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let own = socket.local_addr().unwrap();
        let itself = socket.connect(own).await.unwrap();
        assert!(is_connected_to_itself(&itself).unwrap());
        let server = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let other = TcpStream::connect(server.local_addr().unwrap()).await;
        assert!(!is_connected_to_itself(&other.unwrap()).unwrap());
    }

    #[tokio::test]
    async fn a_name_is_looked_up_and_one_that_is_none_is_named() {
        let server = net::listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = server.local_addr().unwrap().port();
        let context = context();
        assert!(
            dial(
                (&format!("localhost:{port}"), Reach::Loopback),
                LIMIT,
                &context,
                &Cell::default()
            )
            .await
            .is_ok()
        );
        let why = dial(
            ("no name:1", Reach::Loopback),
            LIMIT,
            &context,
            &Cell::default(),
        )
        .await
        .unwrap_err();
        assert!(why.starts_with("cannot find no name:1: "), "{why}");
    }

    #[tokio::test]
    async fn an_address_out_of_reach_is_refused_and_not_dialled() {
        let upstream = ("192.0.2.1:5432", Reach::Loopback);
        let why = dial(upstream, LIMIT, &context(), &Cell::default())
            .await
            .unwrap_err();
        assert_eq!(
            why,
            "cannot connect to 192.0.2.1:5432: not a loopback address, and `loopback_only` is in force"
        );
    }
}
