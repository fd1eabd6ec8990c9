//! What one connection counts and records: its own statistics, its part in its worker's counters,
//! and the facts about it. What chaosproxy opened itself is counted apart and leaves no facts.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::event::{ClosedBy, Fact, Impact, Name};
use crate::fault::Direction;
use crate::proxy::Route;
use crate::proxy::conn_stats::ConnStats;
use crate::proxy::pipe::{Note, Pipe};
use crate::proxy::stats::{Counters, WorkerCounters};
use crate::units::Moment;
use crate::wire::Observation;

/// The ledger of one connection. It counts as open until [`Ledger::leave`] or the drop.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(super) route: Arc<Route>,
    pub(super) stats: Arc<ConnStats>,
    own: bool,
    /// The worker that carries the connection.
    pub(super) worker: usize,
    /// Its place among the open connections.
    place: Option<usize>,
}

impl Ledger {
    /// Counts a connection that was accepted just now.
    pub(crate) fn open(
        route: &Arc<Route>,
        conn: u64,
        own: bool,
        peer: SocketAddr,
        opened: Moment,
    ) -> Self {
        let (place, stats) = route.counters(own).enter(conn);
        let ledger = Self {
            route: Arc::clone(route),
            stats,
            own,
            worker: 0,
            place: Some(place),
        };
        let proxy = route.name.clone();
        ledger.record_at(opened, || Fact::ConnectionOpened { proxy, conn, peer });
        ledger
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.route.recorder.clock().now()
    }

    /// When a piece that meets no fault was read, if it is one of those that are timed.
    pub(super) fn start_timing(&self, direction: Direction) -> Option<Moment> {
        self.worker().times(direction).then(|| self.now())
    }

    /// A timed piece was taken as a whole, just now.
    pub(super) fn stop_timing(&self, read: Option<Moment>) {
        if let Some(read) = read {
            self.worker().own(self.stats.active().since(read));
        }
    }

    /// Counts bytes that a peer took.
    pub(super) fn passed(&self, direction: Direction, bytes: usize) {
        let now = self.now();
        self.stats.passed(direction, bytes as u64, now);
        self.worker().passed(direction, bytes as u64);
    }

    /// Counts and records what faults did since the last call. Returns the last fault that says that
    /// it closed the connection.
    pub(super) fn record_faults(&self, pipe: &mut Pipe) -> Option<Name> {
        let (worker, stats) = (self.worker(), &self.stats);
        pipe.released(|release| {
            worker.released(&release);
            stats.held(release.direction, release.arrived, release.due);
        });
        let held = Direction::BOTH.map(|direction| pipe.holds_since(direction));
        stats.holds(held.into_iter().flatten().min());
        let mut closer = None;
        for hit in pipe.hits() {
            if hit.impact == Impact::Closed {
                closer = Some(hit.fault.clone());
            }
            self.hit(hit.fault, hit.impact);
        }
        self.record_notes(pipe);
        closer
    }

    /// A fault hit the connection.
    pub(super) fn hit(&self, fault: Name, impact: Impact) {
        if !self.own {
            self.stats.hit(&fault);
        }
        let now = self.now();
        self.record_at(now, || Fact::FaultHit {
            fault,
            proxy: self.route.name.clone(),
            conn: Some(self.stats.conn()),
            impact,
        });
    }

    /// Records what the connection showed, and what faults on its messages say of it.
    pub(super) fn record_notes(&self, pipe: &mut Pipe) {
        for note in pipe.notes() {
            let (proxy, conn) = (self.route.name.clone(), self.stats.conn());
            let now = self.now();
            self.record_at(now, || match note {
                Note::Seen(Observation::Startup(packet)) => Fact::StartupPacket {
                    proxy,
                    conn,
                    packet,
                },
                Note::Seen(Observation::Ready) => Fact::SessionReady { proxy, conn },
                Note::Unable { fault, why } => Fact::FaultUnable {
                    fault,
                    proxy,
                    conn,
                    why: why.to_owned(),
                },
                Note::Touched {
                    fault,
                    occurrence,
                    exchanges,
                    last,
                } => Fact::FaultTouched {
                    fault,
                    occurrence,
                    proxy,
                    conn,
                    exchanges,
                    last,
                },
            });
        }
    }

    /// The connection no longer counts as open: others may come in its place.
    pub(super) fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.counters().leave(place);
        }
    }

    /// The connection has closed. What is still held back was held until then.
    pub(crate) fn close(mut self, at: Moment, cause: ClosedBy, pipe: Option<&mut Pipe>) {
        // A reader of the fact may rely on the place being free.
        self.leave();
        if let Some(pipe) = pipe {
            for direction in Direction::BOTH {
                if let Some(since) = pipe.holds_since(direction) {
                    self.stats.held(direction, since, at);
                }
            }
            pipe.finish();
            self.record_notes(pipe);
        }
        self.record_at(at, || Fact::ConnectionClosed {
            proxy: self.route.name.clone(),
            conn: self.stats.conn(),
            cause,
            carried: Box::new(self.stats.carried()),
        });
    }

    fn record_at(&self, at: Moment, fact: impl FnOnce() -> Fact) {
        if !self.own {
            self.route.recorder.record_at(at, fact());
        }
    }

    fn counters(&self) -> &Counters {
        self.route.counters(self.own)
    }

    fn worker(&self) -> &WorkerCounters {
        self.counters().worker(self.worker)
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.leave();
    }
}
