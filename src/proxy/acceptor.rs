//! The accept loop of one proxy, on one of the workers. It gives connections to workers and never
//! waits for one of them.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use super::connection::{AcceptPolicy, AcceptedConn, Delay, Ledger};
use super::context::WorkerContext;
use super::control::Subscription;
use super::workers::Pool;
use super::{Route, limits};
use crate::event::ClosedBy;
use crate::fault::{Candidate, ListenerPolicy};
use crate::own;
use crate::sys::net;

/// The running accept loop. It ends, and the port is free, when this is stopped or dropped.
#[derive(Debug)]
pub(super) struct Acceptor {
    requests: mpsc::Sender<Request>,
    /// Resolves when the loop has ended.
    ended: oneshot::Receiver<()>,
}

/// The loop itself.
#[derive(Debug)]
pub(super) struct AcceptLoop {
    listener: Listener,
    requests: mpsc::Receiver<Request>,
    route: Arc<Route>,
    pool: Pool,
    /// Dropped with the loop.
    _ended: oneshot::Sender<()>,
}

/// How the port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PortState {
    /// Connections are accepted.
    Open,
    /// Every SYN is answered with RST.
    Refusing,
    /// No SYN is answered.
    Ignoring,
}

#[derive(Debug)]
struct Request {
    port: PortState,
    done: oneshot::Sender<io::Result<()>>,
}

impl Acceptor {
    /// Accepts nothing before the port is set for the first time.
    pub(super) fn start(listener: TcpListener, route: Arc<Route>, pool: &Pool) -> Self {
        let (requests, queue) = mpsc::channel(1);
        let (sender, ended) = oneshot::channel();
        pool.accept(AcceptLoop {
            listener: Listener::new(listener),
            requests: queue,
            route,
            pool: pool.clone(),
            _ended: sender,
        });
        Self { requests, ended }
    }

    /// Returns once the port answers as asked.
    pub(super) async fn set(&self, port: PortState) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::other("the accept loop has ended");
        self.requests
            .send(Request { port, done })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Returns once the port is free.
    pub(super) async fn stop(self) {
        drop(self.requests);
        // The loop drops its sender when it ends: an error is what is waited for.
        drop(self.ended.await);
    }
}

/// The listening socket, and its presence in the runtime while it accepts.
///
/// One that was shut would stay flagged as ready there, and keep a thread busy, so it is taken out
/// and put in again.
#[derive(Debug)]
struct Listener {
    socket: TcpListener,
    /// The runtime polls it like a stream: readable means that a client waits.
    open: Option<tokio::net::TcpStream>,
    /// `None` until it is set for the first time, and after it could not be set.
    port: Option<PortState>,
    /// Fills the queue while SYNs are to be ignored.
    plug: Option<net::Plug>,
    /// The peer that the last plug will turn out to be, once it is accepted.
    plugged_by: Option<SocketAddr>,
}

impl Listener {
    const fn new(socket: TcpListener) -> Self {
        Self {
            socket,
            open: None,
            port: None,
            plug: None,
            plugged_by: None,
        }
    }

    fn set(&mut self, port: PortState) -> io::Result<()> {
        if self.port == Some(port) {
            return Ok(());
        }
        // Should this fail half-way, the state of the port is unknown.
        self.port = None;
        self.open = None;
        // Frees its place in the queue: a client that waited behind it gets through.
        self.plug = None;
        match port {
            PortState::Refusing => {
                net::refuse(&self.socket)?;
                // That emptied the queue: the plug will not be accepted any more.
                self.plugged_by = None;
            }
            PortState::Ignoring => {
                net::welcome(&self.socket)?;
                let plug = net::ignore(&self.socket)?;
                self.plugged_by = Some(plug.address());
                self.plug = Some(plug);
            }
            PortState::Open => {
                net::welcome(&self.socket)?;
                self.open = Some(opened(&self.socket)?);
            }
        }
        self.port = Some(port);
        Ok(())
    }

    /// Whether an accepted connection is but a plug.
    fn is_plug(&mut self, peer: SocketAddr) -> bool {
        self.plugged_by.take_if(|plug| *plug == peer).is_some()
    }

    /// Cancel safe. What is accepted is in no runtime yet: the worker that carries it sees to that.
    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        match &self.open {
            Some(open) => {
                let accept = || net::accept(&self.socket);
                open.async_io(Interest::READABLE, accept).await
            }
            None => std::future::pending().await,
        }
    }
}

/// Its presence in the runtime. A listener of the runtime would take in what it accepts, too.
fn opened(socket: &TcpListener) -> io::Result<tokio::net::TcpStream> {
    let socket = OwnedFd::from(socket.try_clone()?);
    tokio::net::TcpStream::from_std(socket.into())
}

impl AcceptLoop {
    /// Accepts until the [`Acceptor`] is gone.
    pub(super) async fn work(mut self, context: &WorkerContext) {
        let mut pause: Option<Duration> = None;
        let mut admitted: u64 = 0;
        loop {
            let accepted = tokio::select! {
                request = self.requests.recv() => {
                    let Some(request) = request else { return };
                    // The receiver may have gone; the port is set all the same.
                    drop(request.done.send(self.listener.set(request.port)));
                    continue;
                }
                accepted = async {
                    if let Some(pause) = pause {
                        context.sleep(pause).await;
                    }
                    self.listener.accept().await
                } => accepted,
            };
            match accepted {
                Ok((_, peer)) if self.listener.is_plug(peer) => {}
                Ok((stream, peer)) => {
                    pause = None;
                    self.admit(stream, peer);
                    admitted += 1;
                    if admitted.is_multiple_of(limits::TURN_ACCEPTS) {
                        yield_now().await;
                    }
                }
                // The client went away while it waited to be accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    self.route.fell_short(&error);
                    let (first, longest) = limits::ACCEPT_PAUSE;
                    pause = Some(pause.map_or(first, |pause| longest.min(pause * 2)));
                }
            }
        }
    }

    /// What chaosproxy opens itself is carried like any other connection, and leaves no fact.
    fn admit(&self, stream: TcpStream, peer: SocketAddr) {
        let route = &self.route;
        let subscription = route.control.admit(own::is_ours(peer));
        let (conn, own) = (subscription.conn(), subscription.is_own());
        let opened = route.recorder.clock().now();
        let ledger = Ledger::open(route, conn, own, peer, opened);
        if open(route, own) > route.max_connections || !self.pool.has_room() {
            ledger.close(opened, ClosedBy::Limit, None);
            return;
        }
        let candidate = AcceptedConn::candidate(route, &subscription, peer.ip(), opened);
        self.pool.assign(AcceptedConn {
            stream,
            policy: policy(route, &subscription, &candidate),
            ledger,
            subscription,
            candidate,
        });
    }
}

/// Clients that are connected, plus one if the new connection is chaosproxy's own.
fn open(route: &Route, own: bool) -> u64 {
    route.counters.open() + u64::from(own)
}

/// What the faults in force make of a new connection. The first that turns it away decides.
fn policy(route: &Route, subscription: &Subscription, conn: &Candidate) -> AcceptPolicy {
    let state = subscription.state();
    let faults = state.map_or(&[][..], |state| &state.armed);
    let mut delays = Vec::new();
    for armed in faults.iter().filter(|armed| armed.touches(conn)) {
        let fault = armed.fault.clone();
        match armed.listener() {
            Some(ListenerPolicy::Reject { read_for }) => {
                return AcceptPolicy::Reject { fault, read_for };
            }
            Some(ListenerPolicy::Limit { most, how }) if open(route, conn.own) > most => {
                return AcceptPolicy::TurnAway { fault, how };
            }
            Some(ListenerPolicy::Delay(by)) => delays.push(Delay {
                fault,
                occurrence: armed.occurrence,
                by,
            }),
            Some(
                ListenerPolicy::Limit { .. } | ListenerPolicy::Refuse | ListenerPolicy::Ignore,
            )
            | None => {}
        }
    }
    AcceptPolicy::Serve { delays }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn a_port_that_could_not_be_set_is_not_taken_for_what_it_was() {
        // A socket that can neither listen nor be shut.
        let socket = OwnedFd::from(UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut listener = Listener::new(socket.into());
        listener.port = Some(PortState::Open);
        assert!(listener.set(PortState::Open).is_ok(), "nothing to do");
        assert!(listener.set(PortState::Refusing).is_err());
        assert!(listener.set(PortState::Open).is_err(), "it was tried");
    }
}
