//! What a connection knows of itself, and the facts that it records.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Context;

use super::Route;
use super::board::Subscription;
use super::card::Card;
use super::pipe::Pipe;
use super::stats::{Counters, OpenGuard, Tally};
use crate::action::Protocol;
use crate::event::{Carried, ClosedBy, Fact, Impact, Name};
use crate::fault::{Candidate, ConnKey, Direction, How};
use crate::units::Moment;
use crate::wire::{Observation, Session};

/// What a connection knows of itself.
pub(super) struct Link {
    pub(super) route: Arc<Route>,
    pub(super) pipe: Pipe,
    pub(super) orders: Subscription,
    /// Counts it as open until it is dropped.
    pub(super) open: Option<OpenGuard>,
    /// Present until the PostgreSQL session exists or cannot be followed.
    session: Option<Session>,
    /// The fault that said last that it closed this connection.
    closer: Option<Name>,
    /// Who was the first to end its part.
    ended_by: Option<ClosedBy>,
    /// What it tells of itself while it is open.
    pub(super) card: Arc<Card>,
    /// Who carries it.
    pub(super) worker: usize,
}

impl Link {
    pub(super) fn new(
        route: Arc<Route>,
        orders: Subscription,
        open: OpenGuard,
        card: Arc<Card>,
        client: IpAddr,
        opened: Moment,
        worker: usize,
    ) -> Self {
        let candidate = candidate(&route, &orders, client, opened);
        let pipe = Pipe::new(candidate, Arc::clone(&route.budget));
        // What we ask ourselves is nobody's session.
        let followed = route.protocol == Protocol::Postgres && !orders.is_own();
        let session = followed.then(Session::new);
        Self {
            route,
            pipe,
            orders,
            open: Some(open),
            session,
            closer: None,
            ended_by: None,
            card,
            worker,
        }
    }

    pub(super) const fn conn(&self) -> u64 {
        self.orders.conn()
    }

    /// Follows what was changed since the last call: whether anything was, or that the connection
    /// is to end.
    pub(super) fn obey(&mut self, cx: &Context<'_>) -> Result<bool, Ending> {
        let Some(news) = self.orders.poll(cx, self.worker) else {
            return Ok(false);
        };
        if self.orders.is_to_end(&news.edition) {
            return Err(Ending::new(ClosedBy::Shutdown, How::Fin));
        }
        let now = self.route.recorder.clock().now();
        self.pipe.set(now, &news.edition.armed, self.card.active());
        self.report().map_or(Ok(true), Err)
    }

    /// Records what faults did; `Some` if one of them cut the connection.
    pub(super) fn report(&mut self) -> Option<Ending> {
        let counters = self.route.counters(self.orders.is_own());
        let (tally, card) = (counters.tally(self.worker), &self.card);
        self.pipe.released(|release| {
            tally.released(&release);
            card.held(release.direction, release.arrived, release.due);
        });
        let held = Direction::BOTH.map(|direction| self.pipe.holds_since(direction));
        self.card.holds(held.into_iter().flatten().min());
        for hit in self.pipe.hits() {
            if hit.impact == Impact::Closed {
                self.closer = Some(hit.fault.clone());
            }
            self.hit(hit.fault, hit.impact);
        }
        let (how, fault) = self.pipe.cut()?;
        Some(Ending::new(ClosedBy::Fault(fault.clone()), how))
    }

    /// The peer that `direction` reads has ended its part.
    pub(super) fn left(&mut self, direction: Direction) {
        let by = match direction {
            Direction::Upstream => {
                self.card.client_left(self.route.recorder.clock().now());
                ClosedBy::Client
            }
            Direction::Downstream => ClosedBy::Upstream,
        };
        self.ended_by.get_or_insert(by);
    }

    /// The socket that `direction` reads failed.
    pub(super) fn broke(&mut self, direction: Direction, error: &io::Error) {
        use io::ErrorKind::{BrokenPipe, ConnectionReset};
        if matches!(error.kind(), ConnectionReset | BrokenPipe) {
            self.left(direction);
        } else {
            let error = || ClosedBy::Error(error.to_string());
            self.ended_by.get_or_insert_with(error);
        }
    }

    /// One way ended, and not by its source.
    pub(super) fn half_closed_by_fault(&mut self) {
        if let Some(fault) = &self.closer {
            let by_fault = || ClosedBy::Fault(fault.clone());
            self.ended_by.get_or_insert_with(by_fault);
        }
    }

    /// Nothing more goes either way.
    pub(super) fn ended(&mut self, how: impl Into<Option<How>>) -> Ending {
        let by_fault = self.closer.take().map(ClosedBy::Fault);
        let cause = self.ended_by.take().or(by_fault);
        Ending::new(cause.unwrap_or(ClosedBy::Shutdown), how)
    }

    /// A fault ended both ways, behind what it let through in `direction`.
    pub(super) fn ended_by_fault(&mut self, how: How, direction: Direction) -> Ending {
        self.ended_by = self.closer.take().map(ClosedBy::Fault);
        Ending {
            delivers: Some(direction),
            ..self.ended(how)
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
            self.tally().own(self.card.active().since(read));
        }
    }

    /// Counts bytes that a peer took.
    pub(super) fn passed(&mut self, direction: Direction, bytes: usize) {
        let now = self.route.recorder.clock().now();
        self.card.passed(direction, bytes as u64, now);
        self.tally().passed(direction, bytes as u64);
    }

    /// A peer takes nothing of what goes in `direction`.
    pub(super) fn stalls(&mut self, direction: Direction) {
        self.pipe.stall(direction);
        let now = self.route.recorder.clock().now();
        self.card.stalls(direction, now);
    }

    /// Changes no longer wait for it. Tells the present moment.
    pub(super) fn unsubscribe(&mut self) -> Moment {
        self.orders.leave();
        self.route.recorder.clock().now()
    }

    /// It is no more.
    pub(super) fn closed(&mut self, at: Moment, cause: ClosedBy) {
        // Whoever hears of the end may count on the place that it leaves.
        self.open = None;
        if self.orders.is_own() {
            return;
        }
        self.route.recorder.record_at(
            at,
            Fact::ConnectionClosed {
                proxy: self.route.name.clone(),
                conn: self.conn(),
                cause,
                carried: Box::new(self.carried(at)),
            },
        );
    }

    /// What it has carried when it ends; what is still held back then is so until its end.
    fn carried(&self, ended: Moment) -> Carried {
        for direction in Direction::BOTH {
            if let Some(since) = self.pipe.holds_since(direction) {
                self.card.held(direction, since, ended);
            }
        }
        self.card.carried()
    }

    fn counters(&self) -> &Counters {
        self.route.counters(self.orders.is_own())
    }

    fn tally(&self) -> &Tally {
        self.counters().tally(self.worker)
    }

    pub(super) fn hit(&self, fault: Name, impact: Impact) {
        if self.orders.is_own() {
            return;
        }
        self.card.hit(&fault);
        self.route.recorder.record(Fact::FaultHit {
            fault,
            proxy: self.route.name.clone(),
            conn: Some(self.conn()),
            impact,
        });
    }
}

/// Why and how a connection ends.
#[derive(Debug)]
pub(super) struct Ending {
    pub(super) cause: ClosedBy,
    /// What the peers are to see; `None` if both have ended and each was told of the other's end.
    pub(super) how: Option<How>,
    /// The way in which bytes precede this end, which are not to be lost to it.
    pub(super) delivers: Option<Direction>,
}

impl Ending {
    pub(super) fn new(cause: ClosedBy, how: impl Into<Option<How>>) -> Self {
        Self {
            cause,
            how: how.into(),
            delivers: None,
        }
    }

    pub(super) fn error(error: &io::Error) -> Self {
        Self::new(ClosedBy::Error(error.to_string()), How::Rst)
    }
}

/// A connection, as the faults of its proxy choose among them.
pub(super) fn candidate(
    route: &Route,
    orders: &Subscription,
    client: IpAddr,
    opened: Moment,
) -> Candidate {
    Candidate {
        key: ConnKey {
            seed: route.seed,
            proxy: route.name.clone(),
            conn: orders.conn(),
        },
        client,
        opened,
        active: opened,
        own: orders.is_own(),
    }
}
