//! The data plane: everything between a client's socket and the server's.
//!
//! A [`Proxy`] accepts connections and hands them to [`Workers`], the threads that carry bytes and
//! do nothing else. It knows nothing of scenarios and reports: its owner says which faults
//! are in force, and it records facts. While no fault is in force it changes nothing: bytes, their order,
//! half-closes, resets and back-pressure pass as they are.

mod acceptor;
mod conn_stats;
mod connection;
mod context;
mod control;
mod dial;
mod limits;
mod open_connections;
pub mod pipe;
mod placement;
mod refusals;
mod stats;
mod timer;
mod transport;
mod workers;

pub use limits::{DESCRIPTORS_EACH, OTHER_DESCRIPTORS};
pub use stats::Stats;
pub use workers::Workers;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use crate::action::{Keepalive, Protocol, ProxySpec};
use crate::event::{Fact, Name, OpenConnection, Recorder, Shortfall};
use crate::fault::{Armed, Effects, ListenerPolicy};
use crate::sys::net;
use crate::units::{Moment, Reach};
use acceptor::{Acceptor, PortState};
use control::{Change, Control};
use pipe::Budget;
use refusals::Refusals;
use stats::Counters;

/// One point of interception, running.
#[derive(Debug)]
pub struct Proxy {
    route: Arc<Route>,
    workers: workers::Pool,
    addr: SocketAddr,
    /// `None` while the proxy is disabled.
    acceptor: Option<Acceptor>,
    /// How the port answers while it is not; `None` if that could not be set.
    port: Option<PortState>,
    /// Present while the port is shut and clients that it turns away can be counted.
    refusals: Option<Refusals>,
}

/// What the connections of a proxy have in common.
#[derive(Debug)]
struct Route {
    name: Name,
    protocol: Protocol,
    upstream: String,
    reach: Reach,
    dial_timeout: Duration,
    keepalive: Option<Keepalive>,
    max_connections: u64,
    seed: u64,
    recorder: Recorder,
    control: Arc<Control>,
    counters: Arc<Counters>,
    /// Of the connections that chaosproxy itself opens; not reported.
    own_counters: Arc<Counters>,
    budget: Arc<Budget>,
}

/// Why a proxy cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process listens there.
    #[error(
        "{0} is already in use by another process; stop it, or give the proxy another `listen` address"
    )]
    Busy(SocketAddr),
    /// The user may not.
    #[error("no permission to listen on {0}; give the proxy a port above 1023")]
    Forbidden(SocketAddr),
    /// The address belongs to another machine.
    #[error(
        "{0} is not an address of this machine; give the proxy a local one, such as 127.0.0.1:{port}",
        port = .0.port()
    )]
    Foreign(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {addr}")]
    Other {
        /// Where.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

impl ListenError {
    fn new(addr: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::Busy(addr),
            io::ErrorKind::PermissionDenied => Self::Forbidden(addr),
            io::ErrorKind::AddrNotAvailable => Self::Foreign(addr),
            _ => Self::Other { addr, source },
        }
    }
}

impl Proxy {
    /// Binds and begins to accept. `seed` keys the dice of faults.
    pub async fn start(
        spec: &ProxySpec,
        workers: &Workers,
        recorder: Recorder,
        seed: u64,
    ) -> Result<Self, ListenError> {
        let failed = |error| ListenError::new(spec.listen, error);
        let clock = recorder.clock();
        let route = Arc::new(Route {
            name: spec.name.clone(),
            protocol: spec.protocol,
            upstream: spec.upstream.clone(),
            reach: spec.reach,
            dial_timeout: spec.dial_timeout,
            keepalive: spec.keepalive,
            max_connections: spec.max_connections as u64,
            seed,
            recorder,
            control: Arc::new(Control::new(clock, workers.count())),
            counters: Arc::new(Counters::new(workers.count())),
            own_counters: Arc::new(Counters::new(workers.count())),
            budget: workers.budget(),
        });
        let listener = route.listen(spec.listen).map_err(failed)?;
        let addr = listener.local_addr().map_err(failed)?;
        let workers = workers.pool();
        let acceptor = Acceptor::start(listener, Arc::clone(&route), &workers);
        acceptor.set(PortState::Open).await.map_err(failed)?;
        Ok(Self {
            route,
            workers,
            addr,
            acceptor: Some(acceptor),
            port: Some(PortState::Open),
            refusals: None,
        })
    }

    /// Where it listens; a port 0 of the specification is the chosen one here.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What it has carried so far.
    pub fn stats(&self) -> Stats {
        self.route.counters.snapshot()
    }

    /// At most `most` open connections: first those that wait, the longest first, then those that
    /// carried most since the last call.
    pub fn connections(&self, most: usize) -> Vec<OpenConnection> {
        let now = self.route.recorder.clock().now();
        self.route
            .counters
            .connections()
            .stuck_or_busiest(most, now)
    }

    /// Puts a fault in force; returns once every connection and the port follow it, and since when.
    /// Its `first_new` and `since` are set here.
    pub async fn arm(&mut self, fault: Armed) -> io::Result<Moment> {
        let change = self
            .route
            .control
            .arm(fault, self.route.recorder.clock().now());
        self.follow(change).await
    }

    /// Gives a fault other effects, if it is in force; returns once every connection follows them,
    /// and since when.
    pub async fn revise(&mut self, fault: &str, effects: &Effects) -> io::Result<Moment> {
        let change = self.route.control.revise(fault, effects);
        self.follow(change).await
    }

    /// Lifts a fault, if it is in force; returns once nothing follows it any more, and since when.
    pub async fn lift(&mut self, fault: &str) -> io::Result<Moment> {
        let change = self.route.control.retain(|armed| *armed.fault != *fault);
        self.follow(change).await
    }

    /// Ends every connection with a FIN; new ones are accepted.
    pub async fn close_connections(&mut self) {
        let change = self.route.control.close_all();
        self.workers.wake(&self.route.control);
        self.settle(change).await;
    }

    /// Frees the port and ends every connection.
    pub async fn disable(&mut self) {
        self.refusals = None;
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.stop().await;
        }
        self.close_connections().await;
    }

    /// Listens again, at the same address, after [`Proxy::disable`].
    pub async fn enable(&mut self) -> Result<(), ListenError> {
        if self.acceptor.is_some() {
            return Ok(());
        }
        let failed = |error| ListenError::new(self.addr, error);
        let listener = self.route.listen(self.addr).map_err(failed)?;
        let route = Arc::clone(&self.route);
        let acceptor = Acceptor::start(listener, route, &self.workers);
        let wanted = self.wanted_port();
        acceptor.set(wanted).await.map_err(failed)?;
        self.port = Some(wanted);
        self.acceptor = Some(acceptor);
        self.count_refusals();
        Ok(())
    }

    /// Waits until the port and every connection follow a change. Returns since when.
    async fn follow(&mut self, change: Change) -> io::Result<Moment> {
        self.workers.wake(&self.route.control);
        let wanted = self.wanted_port();
        let mut turned = Ok(Moment::ZERO);
        let is_wrong = |_: &&Acceptor| self.port != Some(wanted);
        if let Some(acceptor) = self.acceptor.as_ref().filter(is_wrong) {
            let set = acceptor.set(wanted).await;
            self.port = set.is_ok().then_some(wanted);
            turned = set.map(|()| self.route.recorder.clock().now());
            self.count_refusals();
        }
        let settled = self.settle(change).await;
        turned.map(|turned| turned.max(settled))
    }

    /// Counts the clients that are turned away from now on, if the port is shut.
    fn count_refusals(&mut self) {
        self.refusals = match self.port {
            None | Some(PortState::Open) => None,
            Some(port) => Refusals::count(&self.route, self.addr, port),
        };
    }

    async fn settle(&self, change: Change) -> Moment {
        let settled = change.settled().await;
        settled.unwrap_or_else(|| {
            self.route
                .trouble("some connections did not follow a change within 5 s");
            self.route.recorder.clock().now()
        })
    }

    fn wanted_port(&self) -> PortState {
        let does = |policy| move |armed: &Armed| armed.listener() == Some(policy);
        if self.route.control.any(does(ListenerPolicy::Refuse)) {
            PortState::Refusing
        } else if self.route.control.any(does(ListenerPolicy::Ignore)) {
            PortState::Ignoring
        } else {
            PortState::Open
        }
    }
}

impl Route {
    fn listen(&self, addr: SocketAddr) -> io::Result<TcpListener> {
        let listener = net::listen(addr)?;
        // What it accepts has the same options from the start.
        self.tune(&listener)?;
        Ok(listener)
    }

    /// Sets the options that both legs of a connection have.
    fn tune(&self, socket: &impl AsFd) -> io::Result<()> {
        net::send_at_once(socket)?;
        match self.keepalive {
            Some(Keepalive {
                idle,
                interval,
                retries,
            }) => net::keep_alive(socket, idle, interval, retries),
            None => Ok(()),
        }
    }

    /// The counters of clients' connections, or of chaosproxy's own.
    const fn counters(&self, own: bool) -> &Arc<Counters> {
        if own {
            &self.own_counters
        } else {
            &self.counters
        }
    }

    /// Connections could not be accepted and still wait.
    fn fell_short(&self, error: &io::Error) {
        let since = self.recorder.clock().now();
        let what = Shortfall::NotAccepted {
            proxy: self.name.clone(),
            why: error.to_string(),
        };
        let fact = Fact::Shortfall { since, what };
        self.recorder.record_at(since, fact);
    }

    fn trouble(&self, message: &str) {
        self.recorder.record(Fact::Trouble {
            message: format!("proxy {}: {message}", self.name),
        });
    }
}
