//! How a client is received: what the faults in force make of it, and the dial to the server.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{self, IpAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpStream;

use super::ending::Ending;
use super::{Connection, Ledger, Step};
use crate::event::{ClosedBy, Impact, Name};
use crate::fault::{Candidate, ConnKey, Direction, How};
use crate::proxy::Route;
use crate::proxy::context::WorkerContext;
use crate::proxy::control::Subscription;
use crate::proxy::dial;
use crate::proxy::transport::{Tcp, Transport};
use crate::units::Moment;

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub(crate) struct AcceptedConn {
    pub(crate) stream: net::TcpStream,
    pub(crate) ledger: Ledger,
    pub(crate) subscription: Subscription,
    pub(crate) candidate: Candidate,
    pub(crate) policy: AcceptPolicy,
}

/// How a client is to be received.
#[derive(Debug)]
pub(crate) enum AcceptPolicy {
    /// It is connected to the server, once these have let it wait.
    Serve { delays: Vec<Delay> },
    /// It is ended at once.
    TurnAway { fault: Name, how: How },
    /// It is reset after its first packet, which is waited for at most `read_for`.
    Reject { fault: Name, read_for: Duration },
}

/// A fault that lets clients wait.
#[derive(Debug)]
pub(crate) struct Delay {
    pub(crate) fault: Name,
    pub(crate) occurrence: u32,
    pub(crate) by: Duration,
}

impl AcceptedConn {
    /// A connection, as the faults of its proxy choose among them.
    pub(crate) fn candidate(
        route: &Route,
        subscription: &Subscription,
        client: IpAddr,
        opened: Moment,
    ) -> Candidate {
        Candidate {
            key: ConnKey {
                seed: route.seed,
                proxy: route.name.clone(),
                conn: subscription.conn(),
            },
            client,
            opened,
            active: opened,
            own: subscription.is_own(),
        }
    }
}

/// Registers the client's socket with the worker. Returns how the client is to be received.
pub(super) fn begin(
    accepted: AcceptedConn,
    context: &WorkerContext,
) -> (Connection<Tcp>, Step<AcceptPolicy>) {
    let AcceptedConn {
        stream,
        ledger,
        subscription,
        candidate,
        policy,
    } = accepted;
    let (client, policy) = match TcpStream::from_std(stream) {
        Ok(client) => (Some(Tcp::new(client)), Ok(policy)),
        Err(error) => (None, Err(Ending::error(&error))),
    };
    let connection = Connection::new(ledger, subscription, candidate, [client, None], context);
    (connection, policy)
}

impl Connection<Tcp> {
    /// Receives the client. Unless the connection ends by that, it has both legs afterwards.
    pub(super) async fn receive(&mut self, policy: AcceptPolicy, context: &WorkerContext) -> Step {
        match policy {
            AcceptPolicy::Serve { delays } => {
                for delay in delays {
                    self.wait(&delay, context).await?;
                }
                let server = self.dial(context).await?;
                let [client_side, server_side] = &mut self.peers;
                client_side.leg().forget_error();
                server_side.leg = Some(Tcp::new(server));
                Ok(())
            }
            AcceptPolicy::TurnAway { fault, how } => {
                // It is not one of those that are served.
                self.ledger.leave();
                self.ledger.hit(fault.clone(), Impact::Refused);
                Err(Ending::new(ClosedBy::Fault(fault), how))
            }
            AcceptPolicy::Reject { fault, read_for } => {
                Err(self.reject(fault, read_for, context).await)
            }
        }
    }

    /// Polls until there is an answer. The connection, which is not carried yet, ends before that if
    /// a change says so, if the moment of a fault has come, or if its client resets it.
    async fn attend<R>(
        &mut self,
        context: &WorkerContext,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<R>,
    ) -> Step<R> {
        poll_fn(|cx| {
            self.follow_changes(cx)?;
            while let Some(at) = self.pipe.next_wake()
                && self.timer.poll(cx, at).is_ready()
            {
                self.pipe.advance(context.now());
                self.record_faults()?;
            }
            if self
                .source(Direction::Upstream)
                .leg()
                .poll_error(cx)
                .is_ready()
            {
                self.left(Direction::Upstream);
                return Poll::Ready(Err(self.ended(How::Rst)));
            }
            poll(self, cx).map(Ok)
        })
        .await
    }

    /// Lets the client wait while the fault is in force, but not for longer than it asks for.
    async fn wait(&mut self, delay: &Delay, context: &WorkerContext) -> Step {
        self.ledger.hit(delay.fault.clone(), Impact::Delayed);
        let began = context.now();
        let mut timer = context.timer();
        let waited = self.attend(context, |connection, cx| {
            if !connection.is_in_force(delay) {
                return Poll::Ready(());
            }
            connection.ledger.stats.holds(Some(began));
            timer.poll(cx, began + delay.by)
        });
        let waited = waited.await;
        let stats = &self.ledger.stats;
        stats.holds(None);
        stats.held(Direction::Upstream, began, context.now());
        waited
    }

    fn is_in_force(&self, delay: &Delay) -> bool {
        self.subscription.state().is_some_and(|state| {
            state
                .armed
                .iter()
                .any(|armed| armed.fault == delay.fault && armed.occurrence == delay.occurrence)
        })
    }

    /// Connects to the server.
    async fn dial(&mut self, context: &WorkerContext) -> Step<TcpStream> {
        let route = Arc::clone(&self.ledger.route);
        let fate = Cell::default();
        let upstream = (&*route.upstream, route.reach);
        let mut dial = pin!(dial::dial(upstream, route.dial_timeout, context, &fate));
        self.ledger.stats.dials(Some(context.now()));
        let dialled = self.attend(context, |_, cx| dial.as_mut().poll(cx)).await;
        self.ledger.stats.dials(None);
        match dialled {
            Ok(Ok(server)) => {
                let tuned = route.tune(&server);
                tuned.map_err(|error| Ending::error(&error))?;
                Ok(server)
            }
            Ok(Err(why)) => Err(Ending::new(ClosedBy::Dial(why), How::Fin)),
            Err(ending) => {
                fate.set(ending.how.unwrap_or_default());
                Err(ending)
            }
        }
    }

    /// Reads the first packet, so that the attempt is seen, and resets.
    async fn reject(&mut self, fault: Name, read_for: Duration, context: &WorkerContext) -> Ending {
        self.ledger.hit(fault.clone(), Impact::Refused);
        let first_packet = poll_fn(|cx| {
            let news = self.subscription.poll(cx, self.ledger.worker);
            if news.is_some_and(|news| self.subscription.is_to_end(&news.state)) {
                return Poll::Ready(());
            }
            let mut buffer = context.buffer();
            let client = self.source(Direction::Upstream).leg();
            client.poll_read(cx, &mut buffer).map(|read| {
                if let Ok(n) = read {
                    self.observe(Direction::Upstream, &buffer[..n]);
                }
            })
        });
        // Whether something came or not: the answer is the same.
        let _seen = context.within(read_for, first_packet).await.is_some();
        Ending::new(ClosedBy::Fault(fault), How::Rst)
    }
}
