//! The accept loop of one proxy. It hands connections on and never waits for one of them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::board::Subscription;
use super::link::{Arrival, Delay, Welcome, candidate};
use super::stats::OpenGuard;
use super::workers::Pool;
use super::{Route, limits};
use crate::event::{ClosedBy, Fact};
use crate::fault::{Candidate, ListenerPolicy};
use crate::sys::net;

/// The running accept loop. It ends, and the port is free, when this is stopped or dropped.
#[derive(Debug)]
pub(super) struct Acceptor {
    orders: mpsc::Sender<Order>,
    task: JoinHandle<()>,
}

/// How the port answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Connections are accepted.
    Open,
    /// Every SYN is answered with RST.
    Refusing,
    /// No SYN is answered.
    Ignoring,
}

#[derive(Debug)]
struct Order {
    door: Door,
    done: oneshot::Sender<io::Result<()>>,
}

impl Acceptor {
    pub(super) fn start(
        listener: std::net::TcpListener,
        route: Arc<Route>,
        pool: Pool,
    ) -> io::Result<Self> {
        let (orders, queue) = mpsc::channel(1);
        let listener = Listener::new(listener)?;
        let task = tokio::spawn(accept(listener, queue, route, pool));
        Ok(Self { orders, task })
    }

    /// Returns once the port answers as asked.
    pub(super) async fn set(&self, door: Door) -> io::Result<()> {
        let (done, answer) = oneshot::channel();
        let gone = || io::Error::other("the accept loop has ended");
        self.orders
            .send(Order { door, done })
            .await
            .map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// Returns once the port is free.
    pub(super) async fn stop(self) {
        drop(self.orders);
        // It cannot be cancelled by anybody else; a panic was reported by its hook.
        drop(self.task.await);
    }
}

/// The listening socket, and its presence in the runtime while it accepts.
///
/// One that was shut would stay flagged as ready there, and keep a thread busy, so it is taken out
/// and put in again.
#[derive(Debug)]
struct Listener {
    socket: std::net::TcpListener,
    open: Option<TcpListener>,
    door: Door,
    /// Fills the queue while SYNs are to be ignored.
    plug: Option<net::Plug>,
    /// The peer that the last plug will turn out to be, once it is accepted.
    plugged_by: Option<SocketAddr>,
}

impl Listener {
    fn new(socket: std::net::TcpListener) -> io::Result<Self> {
        let open = Some(TcpListener::from_std(socket.try_clone()?)?);
        Ok(Self {
            socket,
            open,
            door: Door::Open,
            plug: None,
            plugged_by: None,
        })
    }

    fn set(&mut self, door: Door) -> io::Result<()> {
        if self.door == door {
            return Ok(());
        }
        self.open = None;
        // What a plug filled is full no more: whoever waited gets through.
        self.plug = None;
        match door {
            Door::Refusing => net::refuse(&self.socket)?,
            Door::Ignoring => {
                net::welcome(&self.socket)?;
                let plug = net::ignore(&self.socket)?;
                self.plugged_by = Some(plug.address());
                self.plug = Some(plug);
            }
            Door::Open => {
                net::welcome(&self.socket)?;
                self.open = Some(TcpListener::from_std(self.socket.try_clone()?)?);
            }
        }
        self.door = door;
        Ok(())
    }

    /// Whether an accepted connection is but a plug.
    fn is_plug(&mut self, peer: SocketAddr) -> bool {
        self.plugged_by.take_if(|plug| *plug == peer).is_some()
    }

    /// Cancel safe.
    async fn accept(&self, pause: Option<Duration>) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(pause) = pause {
            sleep(pause).await;
        }
        match &self.open {
            Some(listener) => listener.accept().await,
            None => std::future::pending().await,
        }
    }
}

async fn accept(
    mut listener: Listener,
    mut orders: mpsc::Receiver<Order>,
    route: Arc<Route>,
    pool: Pool,
) {
    let mut pause: Option<Duration> = None;
    loop {
        let accepted = tokio::select! {
            order = orders.recv() => {
                let Some(order) = order else { return };
                // Whoever asked may have gone; the door is as it was wanted.
                drop(order.done.send(listener.set(order.door)));
                continue;
            }
            accepted = listener.accept(pause) => accepted,
        };
        match accepted {
            Ok((_, peer)) if listener.is_plug(peer) => {}
            Ok((stream, peer)) => {
                pause = None;
                admit(&route, &pool, stream, peer);
            }
            // The client went away while it waited to be accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                if pause.is_none() {
                    route.trouble(&format!("cannot accept connections: {error}"));
                }
                let (first, longest) = limits::ACCEPT_PAUSE;
                pause = Some(pause.map_or(first, |pause| longest.min(pause * 2)));
            }
        }
    }
}

fn admit(route: &Arc<Route>, pool: &Pool, stream: TcpStream, peer: SocketAddr) {
    let orders = route.board.admit();
    let conn = orders.conn();
    let open = OpenGuard::new(&route.counters);
    let opened = route.recorder.clock().now();
    let fact = Fact::ConnectionOpened {
        proxy: route.name.clone(),
        conn,
        peer,
    };
    route.recorder.record_at(opened, fact);
    let at_once = |cause| Fact::ConnectionClosed {
        proxy: route.name.clone(),
        conn,
        cause,
        bytes_upstream: 0,
        bytes_downstream: 0,
    };
    if route.counters.open() > route.max_connections || !pool.has_room() {
        route.recorder.record(at_once(ClosedBy::Limit));
        return;
    }
    match stream.set_nodelay(true).and_then(|()| stream.into_std()) {
        Ok(stream) => pool.assign(Arrival {
            route: Arc::clone(route),
            stream,
            client: peer.ip(),
            opened,
            welcome: welcome(route, &orders, &candidate(route, conn, peer.ip(), opened)),
            orders,
            open,
        }),
        Err(error) => route
            .recorder
            .record(at_once(ClosedBy::Error(error.to_string()))),
    }
}

/// What the faults in force make of a new connection. The first that turns it away decides.
fn welcome(route: &Route, orders: &Subscription, conn: &Candidate) -> Welcome {
    let faults = orders.edition().map_or(&[][..], |edition| &edition.armed);
    let mut delays = Vec::new();
    for armed in faults.iter().filter(|armed| armed.touches(conn)) {
        let fault = armed.fault.clone();
        match armed.listener() {
            Some(ListenerPolicy::Reject { read_for }) => {
                return Welcome::Reject { fault, read_for };
            }
            Some(ListenerPolicy::Limit { most, how }) if route.counters.open() > most => {
                return Welcome::TurnAway { fault, how };
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
    Welcome::Serve { delays }
}
