//! One connection, from its acceptance to its close.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::Route;
use super::board::Subscription;
use super::desk::Desk;
use super::pipe::Pipe;
use super::stats::{OpenGuard, Tally};
use super::{close, dial, relay, socket};
use crate::action::Protocol;
use crate::event::{ClosedBy, Fact, Impact, Name};
use crate::fault::{Candidate, ConnKey, Direction, How};
use crate::units::Moment;
use crate::wire::{Observation, Session};

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) route: Arc<Route>,
    pub(super) stream: std::net::TcpStream,
    pub(super) client: IpAddr,
    /// When it was accepted.
    pub(super) opened: Moment,
    pub(super) orders: Subscription,
    pub(super) welcome: Welcome,
    pub(super) open: OpenGuard,
}

/// How a client is to be received.
#[derive(Debug)]
pub(super) enum Welcome {
    /// It is connected to the server, once these have let it wait.
    Serve { delays: Vec<Delay> },
    /// It is ended at once.
    TurnAway { fault: Name, how: How },
    /// It is reset after its first packet, which is waited for at most so long.
    Reject { fault: Name, read_for: Duration },
}

/// A fault that lets clients wait.
#[derive(Debug)]
pub(super) struct Delay {
    pub(super) fault: Name,
    pub(super) occurrence: u32,
    pub(super) by: Duration,
}

/// Why and how a connection ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) cause: ClosedBy,
    /// What the peers are to see; `None` if both have ended and each was told of the other's end.
    pub(super) how: Option<How>,
}

/// Carries one connection to its end. Never fails: whatever happens becomes a fact.
pub(super) async fn serve(arrival: Arrival, desk: &Desk) {
    let Arrival {
        route,
        stream,
        client,
        opened,
        orders,
        welcome,
        open,
    } = arrival;
    let mut link = Link::new(route, orders, client, opened, desk.worker());
    let mut open = Some(open);
    let (ending, legs) = match TcpStream::from_std(stream) {
        Ok(client) => match welcome {
            Welcome::Serve { delays } => link.receive(client, desk, delays).await,
            Welcome::TurnAway { fault, how } => {
                // It is not one of those that are served: others may come in its place.
                open = None;
                (link.turn_away(fault, how), vec![client])
            }
            Welcome::Reject { fault, read_for } => {
                let ending = link.reject(&client, desk, fault, read_for).await;
                (ending, vec![client])
            }
        },
        Err(error) => (Ending::error(&error), Vec::new()),
    };
    let ended = link.route.recorder.clock().now();
    link.orders.leave();
    match ending.how {
        Some(how) => {
            let unread = |bytes: &[u8]| link.observe(Direction::Upstream, bytes);
            close::close(legs, how, desk, unread).await;
        }
        None => drop(legs),
    }
    // Whoever hears of the end may count on the place that it leaves.
    drop(open);
    link.route.recorder.record_at(
        ended,
        Fact::ConnectionClosed {
            proxy: link.route.name.clone(),
            conn: link.conn(),
            cause: ending.cause,
            bytes_upstream: link.passed[Direction::Upstream as usize],
            bytes_downstream: link.passed[Direction::Downstream as usize],
        },
    );
}

impl Ending {
    pub(super) fn error(error: &io::Error) -> Self {
        Self {
            cause: ClosedBy::Error(error.to_string()),
            how: Some(How::Rst),
        }
    }
}

/// What a connection knows of itself.
pub(super) struct Link {
    pub(super) route: Arc<Route>,
    pub(super) pipe: Pipe,
    orders: Subscription,
    /// Present until the PostgreSQL session exists or cannot be followed.
    session: Option<Session>,
    /// The fault that said last that it closed this connection.
    closer: Option<Name>,
    passed: [u64; 2],
    /// When a byte was last passed.
    active: Moment,
    /// Who carries it.
    worker: usize,
}

impl Link {
    fn new(
        route: Arc<Route>,
        orders: Subscription,
        client: IpAddr,
        opened: Moment,
        worker: usize,
    ) -> Self {
        let candidate = candidate(&route, orders.conn(), client, opened);
        let pipe = Pipe::new(candidate, Arc::clone(&route.budget));
        let session = (route.protocol == Protocol::Postgres).then(Session::new);
        Self {
            route,
            pipe,
            orders,
            session,
            closer: None,
            passed: [0; 2],
            active: opened,
            worker,
        }
    }

    pub(super) const fn conn(&self) -> u64 {
        self.orders.conn()
    }

    /// Follows what was changed since the last call; `Some` if the connection is to end.
    pub(super) fn obey(&mut self, cx: &Context<'_>) -> Option<Ending> {
        let news = self.orders.poll(cx, self.worker)?;
        if self.conn() < news.edition.close_below {
            return Some(Ending {
                cause: ClosedBy::Shutdown,
                how: Some(How::Fin),
            });
        }
        let now = self.route.recorder.clock().now();
        self.pipe.set(now, &news.edition.armed, self.active);
        self.report()
    }

    /// Records what faults did; `Some` if one of them cut the connection.
    pub(super) fn report(&mut self) -> Option<Ending> {
        if let Some(late) = self.pipe.late() {
            self.tally().late(late);
        }
        for hit in self.pipe.hits() {
            if hit.impact == Impact::Closed {
                self.closer = Some(hit.fault.clone());
            }
            self.hit(hit.fault, hit.impact);
        }
        let (how, fault) = self.pipe.cut()?;
        Some(Ending {
            cause: ClosedBy::Fault(fault.clone()),
            how: Some(how),
        })
    }

    /// The end of a connection that came out of the pipe, `seen` being who ended it otherwise.
    pub(super) fn ended(&mut self, how: Option<How>, seen: Option<ClosedBy>) -> Ending {
        let by_fault = self.closer.take().map(ClosedBy::Fault);
        Ending {
            cause: seen.or(by_fault).unwrap_or(ClosedBy::Shutdown),
            how,
        }
    }

    /// Looks for facts in bytes that were read.
    pub(super) fn observe(&mut self, direction: Direction, bytes: &[u8]) {
        let Some(session) = &mut self.session else {
            return;
        };
        let observations = match direction {
            Direction::Upstream => session.client(bytes),
            Direction::Downstream => session.server(bytes),
        };
        let mut finished = session.is_opaque();
        for observation in observations {
            let (proxy, conn) = (self.route.name.clone(), self.orders.conn());
            self.route.recorder.record(match observation {
                Observation::Startup(packet) => Fact::StartupPacket {
                    proxy,
                    conn,
                    packet,
                },
                Observation::Ready => {
                    finished = true;
                    Fact::SessionReady { proxy, conn }
                }
            });
        }
        if finished {
            self.session = None;
        }
    }

    /// When a piece that meets no fault was read, if it is one of those that are timed.
    pub(super) fn clock_in(&self, direction: Direction) -> Option<Moment> {
        let timed = self.tally().times(direction);
        timed.then(|| self.route.recorder.clock().now())
    }

    /// Such a piece was taken as a whole, just now.
    pub(super) fn clock_out(&self, read: Option<Moment>) {
        if let Some(read) = read {
            self.tally().own(self.active.since(read));
        }
    }

    /// Counts bytes that a peer took.
    pub(super) fn passed(&mut self, direction: Direction, bytes: usize) {
        self.passed[direction as usize] += bytes as u64;
        self.active = self.route.recorder.clock().now();
        self.tally().passed(direction, bytes as u64);
    }

    fn tally(&self) -> &Tally {
        self.route.counters.tally(self.worker)
    }

    fn hit(&self, fault: Name, impact: Impact) {
        self.route.recorder.record(Fact::FaultHit {
            fault,
            proxy: self.route.name.clone(),
            conn: Some(self.conn()),
            impact,
        });
    }

    async fn receive(
        &mut self,
        client: TcpStream,
        desk: &Desk,
        delays: Vec<Delay>,
    ) -> (Ending, Vec<TcpStream>) {
        for delay in delays {
            if let Err(ending) = self.wait(&delay, desk).await {
                return (ending, vec![client]);
            }
        }
        // A task is as large as the largest of its states: this one is gone once it stands.
        match Box::pin(self.dial(desk)).await {
            Ok(server) => {
                let ending = relay::relay(self, &client, &server, desk).await;
                (ending, vec![client, server])
            }
            Err(ending) => (ending, vec![client]),
        }
    }

    /// Lets the client wait while the fault is in force, but not for longer than it asks for.
    async fn wait(&mut self, delay: &Delay, desk: &Desk) -> Result<(), Ending> {
        self.hit(delay.fault.clone(), Impact::Delayed);
        let until = self.route.recorder.clock().now() + delay.by;
        let mut timer = desk.timer();
        std::future::poll_fn(|cx| match self.obey(cx) {
            Some(ending) => Poll::Ready(Err(ending)),
            None if !self.is_in_force(delay) => Poll::Ready(Ok(())),
            None => timer.poll(cx, until).map(Ok),
        })
        .await
    }

    fn is_in_force(&self, delay: &Delay) -> bool {
        self.orders.edition().is_some_and(|edition| {
            edition
                .armed
                .iter()
                .any(|armed| armed.fault == delay.fault && armed.occurrence == delay.occurrence)
        })
    }

    fn turn_away(&self, fault: Name, how: How) -> Ending {
        self.hit(fault.clone(), Impact::Refused);
        Ending {
            cause: ClosedBy::Fault(fault),
            how: Some(how),
        }
    }

    /// Connects to the server, following orders meanwhile.
    async fn dial(&mut self, desk: &Desk) -> Result<TcpStream, Ending> {
        let route = Arc::clone(&self.route);
        let mut dial = pin!(dial::dial(&route.upstream, route.dial_timeout, desk));
        let dialled = std::future::poll_fn(|cx| match self.obey(cx) {
            Some(ending) => Poll::Ready(Err(ending)),
            None => dial.as_mut().poll(cx).map(Ok),
        });
        match dialled.await? {
            Ok(server) => match route.tune(&server) {
                Ok(()) => Ok(server),
                Err(error) => Err(Ending::error(&error)),
            },
            Err(why) => Err(Ending {
                cause: ClosedBy::Dial(why),
                how: Some(How::Fin),
            }),
        }
    }

    /// Reads the first packet, so that the attempt is seen, and resets.
    async fn reject(
        &mut self,
        client: &TcpStream,
        desk: &Desk,
        fault: Name,
        read_for: Duration,
    ) -> Ending {
        self.hit(fault.clone(), Impact::Refused);
        let conn = self.conn();
        let first_packet = std::future::poll_fn(|cx| {
            let news = self.orders.poll(cx, self.worker);
            if news.is_some_and(|news| conn < news.edition.close_below) {
                return Poll::Ready(());
            }
            let mut buffer = desk.buffer();
            socket::poll_read(client, cx, &mut buffer).map(|read| {
                if let Ok(n) = read {
                    self.observe(Direction::Upstream, &buffer[..n]);
                }
            })
        });
        // Whether something came or not: the answer is the same.
        let _seen = desk.within(read_for, first_packet).await.is_some();
        Ending {
            cause: ClosedBy::Fault(fault),
            how: Some(How::Rst),
        }
    }
}

/// A connection, as the faults of its proxy choose among them.
pub(super) fn candidate(route: &Route, conn: u64, client: IpAddr, opened: Moment) -> Candidate {
    Candidate {
        key: ConnKey {
            seed: route.seed,
            proxy: route.name.clone(),
            conn,
        },
        client,
        opened,
        active: opened,
    }
}
