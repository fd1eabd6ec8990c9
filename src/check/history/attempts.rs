//! Attempts at a session. Whoever counts or judges attempts goes by this definition.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use super::Connection;
use crate::event::{Event, Fact, Impact, Name, Startup};
use crate::units::Moment;

/// A client that falls back to a lesser encryption dials anew at once.
const FALLBACK_WITHIN: Duration = Duration::from_millis(50);

/// One try of a client to get a session: a connection on which it sent a startup packet, whichever
/// came first, with the connections of its fallbacks to a lesser encryption. A cancel request and a
/// connection that sent nothing are none. Where the protocol is not known, each connection is one.
/// So is a client that a shut port turned away.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// When it began.
    pub start: Moment,
    /// When its failure reached the client; `None` while it was pending or if it succeeded.
    pub failed: Option<Moment>,
    /// Who made it.
    pub client: Client,
    /// What it asked for last.
    asked: Asked,
}

/// What clients can be told apart by. Names are empty as long as the client sent none.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client {
    /// Its address, without the port; `None` if a shut port turned it away.
    pub address: Option<IpAddr>,
    /// `application_name`.
    pub application: String,
    /// `user`.
    pub user: String,
    /// `database`.
    pub database: String,
}

/// Encryptions, in the order in which a client falls back from one to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Gss,
    Tls,
    Plain,
}

/// The attempts at one proxy.
#[derive(Debug, Default)]
pub struct Attempts {
    opaque: bool,
    /// By the number of their first connection.
    all: BTreeMap<u64, Attempt>,
    /// The attempt of each further connection.
    fallbacks: HashMap<u64, u64>,
    /// Those that may still be followed by a fallback.
    lesser: BTreeSet<u64>,
    turned_away: Vec<Attempt>,
}

impl Attempts {
    /// At a proxy without connections yet. An `opaque` one does not know the protocol.
    pub fn new(opaque: bool) -> Self {
        Self {
            opaque,
            ..Self::default()
        }
    }

    /// Takes note of all that is known of a connection; again whenever there is more to know. The
    /// order is that in which the connections were opened.
    pub fn see(&mut self, connection: &Connection) {
        let first = connection.startup.first().map(|(_, packet)| asked(packet));
        let first = first.or_else(|| self.opaque.then_some(Asked::Plain));
        let Some(first) = first else { return };
        if connection.is_cancel() {
            self.all.remove(&connection.conn);
            return;
        }
        let key = self.key(connection, first);
        let latest = attempt(connection);
        let attempt = self.all.entry(key).or_insert_with(|| latest.clone());
        let start = attempt.start.min(latest.start);
        *attempt = Attempt { start, ..latest };
        if attempt.asked < Asked::Plain && attempt.failed.is_some() {
            self.lesser.insert(key);
        }
    }

    /// Takes note of a fact: that a shut port turned a client away is an attempt. One that gets no
    /// answer fails at its own deadline, which nobody sees.
    pub fn see_hit(&mut self, event: &Event) {
        let Fact::FaultHit {
            conn: None, impact, ..
        } = &event.fact
        else {
            return;
        };
        self.turned_away.push(Attempt {
            start: event.at,
            failed: (*impact == Impact::Refused).then_some(event.at),
            client: Client::default(),
            asked: Asked::Plain,
        });
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        (self.all.len() + self.turned_away.len()) as u64
    }

    /// All of them, in order.
    pub fn into_list(self) -> Vec<Attempt> {
        let mut list: Vec<_> = self.all.into_values().chain(self.turned_away).collect();
        list.sort_by_key(|attempt| attempt.start);
        list
    }

    /// The attempt that a connection belongs to. Only a step down right after a failure continues
    /// one: a storm of equal requests must stay a storm.
    fn key(&mut self, connection: &Connection, first: Asked) -> u64 {
        let conn = connection.conn;
        if let Some(key) = self.fallbacks.get(&conn) {
            return *key;
        }
        if self.all.contains_key(&conn) {
            return conn;
        }
        let all = &self.all;
        self.lesser.retain(|key| {
            let failed = all.get(key).and_then(|attempt| attempt.failed);
            failed.is_some_and(|failed| connection.opened.since(failed) <= FALLBACK_WITHIN)
        });
        let before = self.lesser.iter().rev().copied().find(|key| {
            let last = &all[key];
            last.client.address == Some(connection.peer.ip())
                && last.asked < first
                && last.failed <= Some(connection.opened)
        });
        before.map_or(conn, |key| {
            self.lesser.remove(&key);
            self.fallbacks.insert(conn, key);
            key
        })
    }
}

fn attempt(connection: &Connection) -> Attempt {
    let packets = || connection.startup.iter().map(|(_, packet)| packet);
    let names = packets().find_map(|packet| match packet {
        Startup::Session {
            user,
            database,
            application_name,
        } => Some([application_name, user, database].map(Clone::clone)),
        _ => None,
    });
    let [application, user, database] = names.unwrap_or_default();
    Attempt {
        start: connection.opened,
        failed: match connection.ready {
            Some(_) => None,
            None => connection.left(),
        },
        client: Client {
            address: Some(connection.peer.ip()),
            application,
            user,
            database,
        },
        asked: packets().map(asked).max().unwrap_or(Asked::Plain),
    }
}

fn asked(packet: &Startup) -> Asked {
    match packet {
        Startup::Gss => Asked::Gss,
        Startup::Ssl | Startup::Tls => Asked::Tls,
        Startup::Session { .. } | Startup::Cancel | Startup::Unknown => Asked::Plain,
    }
}

/// The attempts at each proxy.
pub(super) fn index(
    connections: &BTreeMap<Name, Vec<Connection>>,
    events: &[Event],
    opaque: &BTreeSet<Name>,
) -> BTreeMap<Name, Vec<Attempt>> {
    let mut all: BTreeMap<&Name, Attempts> = BTreeMap::new();
    for (proxy, connections) in connections {
        let attempts = all
            .entry(proxy)
            .or_insert_with(|| Attempts::new(opaque.contains(proxy)));
        for connection in connections {
            attempts.see(connection);
        }
    }
    for event in events {
        if let Fact::FaultHit { proxy, .. } = &event.fact {
            all.entry(proxy).or_default().see_hit(event);
        }
    }
    let lists = all.into_iter();
    lists
        .map(|(proxy, attempts)| (proxy.clone(), attempts.into_list()))
        .collect()
}
