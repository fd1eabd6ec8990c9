//! One connection, from its acceptance to its close.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::net::{self, IpAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::Route;
use super::board::Subscription;
use super::card::Card;
use super::desk::Desk;
use super::link::{Ending, Link};
use super::relay;
use super::stats::OpenGuard;
use super::{close, dial, limits, socket};
use crate::event::{ClosedBy, Impact, Name};
use crate::fault::{Direction, How};
use crate::units::Moment;

/// An accepted connection.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) route: Arc<Route>,
    pub(super) stream: net::TcpStream,
    pub(super) client: IpAddr,
    /// When it was accepted.
    pub(super) opened: Moment,
    pub(super) orders: Subscription,
    pub(super) welcome: Welcome,
    pub(super) open: OpenGuard,
    pub(super) card: Arc<Card>,
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

/// The client's and the server's leg of a connection whose bytes can be carried.
type Legs = (TcpStream, TcpStream);

/// The legs that a connection has at its end.
type Over = (Ending, Vec<TcpStream>);

/// Carries one connection to its end. Never fails: whatever happens becomes a fact.
pub(super) async fn serve(arrival: Box<Arrival>, desk: &Desk) {
    // Boxed, so that the memory for receiving is given back before bytes are carried.
    let (mut link, begun) = Box::pin(receive(*arrival, desk)).await;
    let (ending, legs) = match begun {
        Ok((client, server)) => {
            let ending = relay::relay(&mut link, &client, &server, desk).await;
            (ending, vec![client, server])
        }
        Err(over) => over,
    };
    let mut ended = link.unsubscribe();
    if let Some(how) = ending.how {
        if let Some(direction) = ending.delivers {
            // The client's leg is the first; a direction's number is that of its source.
            let receiver = &legs[direction.reverse() as usize];
            Box::pin(close::deliver(receiver, desk, limits::DELIVERY)).await;
            ended = desk.now();
        }
        let unread = |bytes: &[u8]| link.observe(Direction::Upstream, bytes);
        close::close(legs, how, desk, unread).await;
    }
    link.closed(ended, ending.cause);
}

/// Meets a client as it is to be met.
async fn receive(arrival: Arrival, desk: &Desk) -> (Link, Result<Legs, Over>) {
    let Arrival {
        route,
        stream,
        client,
        opened,
        orders,
        welcome,
        open,
        card,
    } = arrival;
    let mut link = Link::new(route, orders, open, card, client, opened, desk.worker());
    let begun = match TcpStream::from_std(stream) {
        Ok(client) => match welcome {
            Welcome::Serve { delays } => link.connect(client, desk, delays).await,
            Welcome::TurnAway { fault, how } => Err((link.turn_away(fault, how), vec![client])),
            Welcome::Reject { fault, read_for } => {
                let ending = link.reject(&client, desk, fault, read_for).await;
                Err((ending, vec![client]))
            }
        },
        Err(error) => Err((Ending::error(&error), Vec::new())),
    };
    (link, begun)
}

impl Link {
    async fn connect(
        &mut self,
        client: TcpStream,
        desk: &Desk,
        delays: Vec<Delay>,
    ) -> Result<Legs, Over> {
        for delay in delays {
            if let Err(ending) = self.wait(&delay, &client, desk).await {
                return Err((ending, vec![client]));
            }
        }
        match self.dial(&client, desk).await {
            Ok(server) => Ok((client, server)),
            Err(ending) => Err((ending, vec![client])),
        }
    }

    /// Polls until there is an answer. The connection, which is not relayed yet, ends before that if
    /// it is told to, if the moment of a fault has come, or if its client resets it.
    async fn attend<T>(
        &mut self,
        client: &TcpStream,
        desk: &Desk,
        mut poll: impl FnMut(&mut Self, &mut Context<'_>) -> Poll<T>,
    ) -> Result<T, Ending> {
        let mut timer = desk.timer();
        let mut reset = pin!(client.ready(Interest::ERROR));
        poll_fn(|cx| {
            if let Err(ending) = self.obey(cx) {
                return Poll::Ready(Err(ending));
            }
            while let Some(at) = self.pipe.next_wake()
                && timer.poll(cx, at).is_ready()
            {
                self.pipe.advance(desk.now());
                if let Some(ending) = self.report() {
                    return Poll::Ready(Err(ending));
                }
            }
            if reset.as_mut().poll(cx).is_ready() {
                self.left(Direction::Upstream);
                return Poll::Ready(Err(self.ended(How::Rst)));
            }
            poll(self, cx).map(Ok)
        })
        .await
    }

    /// Lets the client wait while the fault is in force, but not for longer than it asks for.
    async fn wait(&mut self, delay: &Delay, client: &TcpStream, desk: &Desk) -> Result<(), Ending> {
        self.hit(delay.fault.clone(), Impact::Delayed);
        let began = desk.now();
        let mut timer = desk.timer();
        let waited = self.attend(client, desk, |link, cx| {
            if !link.is_in_force(delay) {
                return Poll::Ready(());
            }
            link.card.holds(Some(began));
            timer.poll(cx, began + delay.by)
        });
        let waited = waited.await;
        self.card.holds(None);
        self.card.held(Direction::Upstream, began, desk.now());
        waited
    }

    fn is_in_force(&self, delay: &Delay) -> bool {
        self.orders.edition().is_some_and(|edition| {
            edition
                .armed
                .iter()
                .any(|armed| armed.fault == delay.fault && armed.occurrence == delay.occurrence)
        })
    }

    fn turn_away(&mut self, fault: Name, how: How) -> Ending {
        // It is not one of those that are served: others may come in its place.
        self.open = None;
        self.hit(fault.clone(), Impact::Refused);
        Ending::new(ClosedBy::Fault(fault), how)
    }

    /// Connects to the server.
    async fn dial(&mut self, client: &TcpStream, desk: &Desk) -> Result<TcpStream, Ending> {
        let route = Arc::clone(&self.route);
        let fate = Cell::default();
        let upstream = (&*route.upstream, route.reach);
        let mut dial = pin!(dial::dial(upstream, route.dial_timeout, desk, &fate));
        self.card.dials(Some(desk.now()));
        let dialled = self.attend(client, desk, |_, cx| dial.as_mut().poll(cx));
        let dialled = dialled.await;
        self.card.dials(None);
        match dialled {
            Ok(Ok(server)) => match route.tune(&server) {
                Ok(()) => Ok(server),
                Err(error) => Err(Ending::error(&error)),
            },
            Ok(Err(why)) => Err(Ending::new(ClosedBy::Dial(why), How::Fin)),
            Err(ending) => {
                fate.set(ending.how.unwrap_or_default());
                Err(ending)
            }
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
        let mut inlet = socket::Inlet::new(client);
        let first_packet = poll_fn(|cx| {
            let news = self.orders.poll(cx, self.worker);
            if news.is_some_and(|news| self.orders.is_to_end(&news.edition)) {
                return Poll::Ready(());
            }
            let mut buffer = desk.buffer();
            inlet.poll_read(cx, &mut buffer).map(|read| {
                if let Ok(n) = read {
                    self.observe(Direction::Upstream, &buffer[..n]);
                }
            })
        });
        // Whether something came or not: the answer is the same.
        let _seen = desk.within(read_for, first_packet).await.is_some();
        Ending::new(ClosedBy::Fault(fault), How::Rst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_result<'a, F>(_: impl FnOnce(Box<Arrival>, &'a Desk) -> F) -> usize {
        size_of::<F>()
    }

    /// Thousands of connections may be held at once, each with a task of its own.
    #[test]
    fn a_connection_takes_little_memory_for_its_task() {
        let size = size_of_result(serve);
        assert!((200..1_300).contains(&size), "{size}");
    }
}
