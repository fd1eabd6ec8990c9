use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use crate::event::{ClosedBy, Event, Fact, Name, Startup};
use crate::units::Moment;

/// A client's connection at a proxy, from its acceptance to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Connection {
    /// Ordinal at its proxy.
    pub conn: u64,
    /// The client.
    pub peer: SocketAddr,
    /// When it was accepted.
    pub opened: Moment,
    /// What it asked for, in order.
    pub startup: Vec<(Moment, Startup)>,
    /// When a session existed.
    pub ready: Option<Moment>,
    /// When and by whom it was ended.
    pub closed: Option<(Moment, ClosedBy)>,
    /// When its client ended its part, which a fault may have held back until long after.
    pub client_left: Option<Moment>,
}

impl Connection {
    /// One that was accepted just now.
    pub const fn new(conn: u64, peer: SocketAddr, opened: Moment) -> Self {
        Self {
            conn,
            peer,
            opened,
            startup: Vec::new(),
            ready: None,
            closed: None,
            client_left: None,
        }
    }

    /// Takes note of a fact about it.
    pub fn see(&mut self, event: &Event) {
        match &event.fact {
            Fact::StartupPacket { packet, .. } => self.startup.push((event.at, packet.clone())),
            Fact::SessionReady { .. } => {
                self.ready.get_or_insert(event.at);
            }
            Fact::ConnectionClosed { cause, carried, .. } => {
                let by_client = (*cause == ClosedBy::Client).then_some(event.at);
                self.client_left = carried.client_left.or(by_client);
                self.closed.get_or_insert((event.at, cause.clone()));
            }
            _ => {}
        }
    }

    /// When it was over for its client.
    pub fn left(&self) -> Option<Moment> {
        let closed = self.closed.as_ref().map(|(at, _)| *at);
        self.client_left.or(closed)
    }

    /// Whether it only carried a `CancelRequest`.
    pub fn is_cancel(&self) -> bool {
        self.startup
            .iter()
            .any(|(_, packet)| *packet == Startup::Cancel)
    }

    /// Whether it had a session at `moment`.
    pub fn in_session(&self, moment: Moment) -> bool {
        let ended = self.closed.as_ref().is_some_and(|(at, _)| *at <= moment);
        self.ready.is_some_and(|ready| ready <= moment) && !ended
    }
}

pub(super) fn index(events: &[Event]) -> BTreeMap<Name, Vec<Connection>> {
    let mut proxies: BTreeMap<Name, Vec<Connection>> = BTreeMap::new();
    let mut places: HashMap<(&Name, u64), usize> = HashMap::new();
    for event in events {
        if let Fact::ConnectionOpened { proxy, conn, peer } = &event.fact {
            let list = proxies.entry(proxy.clone()).or_default();
            places.insert((proxy, *conn), list.len());
            list.push(Connection::new(*conn, *peer, event.at));
        }
    }
    for event in events {
        let (Fact::StartupPacket { proxy, conn, .. }
        | Fact::SessionReady { proxy, conn }
        | Fact::ConnectionClosed { proxy, conn, .. }) = &event.fact
        else {
            continue;
        };
        let place = places.get(&(proxy, *conn));
        if let Some(connection) = place.and_then(|place| proxies.get_mut(proxy)?.get_mut(*place)) {
            connection.see(event);
        }
    }
    for list in proxies.values_mut() {
        list.sort_by_key(|connection| connection.opened);
    }
    proxies
}
