use std::cmp::Reverse;
use std::collections::HashMap;

use super::HeldRecord;
use crate::check::{Connection, History};
use crate::event::{ClosedBy, Fact, Name};
use crate::units::Moment;

/// Connections of a proxy that are told of: as many as a person takes in.
const MOST: usize = 5;

/// The connections of clients to `proxy` that faults held back or ended: those that they held
/// longest. Seconds count from `origin`.
pub(super) fn records(proxy: &Name, history: &History, origin: Moment) -> Vec<HeldRecord> {
    let connections = history.connections(proxy).iter();
    let opened: HashMap<u64, &Connection> = connections.map(|one| (one.conn, one)).collect();
    let mut found = Vec::new();
    for event in history.events() {
        if let Fact::ConnectionClosed {
            proxy: at,
            conn,
            cause,
            carried,
        } = &event.fact
            && at == proxy
            && (!carried.held.is_zero() || matches!(cause, ClosedBy::Fault(_)))
            && let Some(connection) = opened.get(conn)
        {
            found.push((event.at, *connection, cause, carried));
        }
    }
    found.sort_by_key(|(_, connection, _, carried)| (Reverse(carried.held), connection.conn));
    let longest = found.into_iter().take(MOST);
    longest
        .map(|(closed, connection, cause, carried)| HeldRecord {
            conn: connection.conn,
            client: connection.peer.to_string(),
            opened_s: connection.opened.seconds_from(origin),
            closed_s: closed.seconds_from(origin),
            held_s: carried.held.as_secs_f64(),
            faults: carried.faults.clone(),
            closed: ended_by(cause),
            bytes_upstream: carried.bytes_upstream,
            bytes_downstream: carried.bytes_downstream,
        })
        .collect()
}

/// The word for who ended a connection.
pub(super) fn ended_by(cause: &ClosedBy) -> String {
    match cause {
        ClosedBy::Client => "client".to_owned(),
        ClosedBy::Upstream => "upstream".to_owned(),
        ClosedBy::Dial(_) => "dial".to_owned(),
        ClosedBy::Fault(fault) => format!("fault:{fault}"),
        ClosedBy::Shutdown => "shutdown".to_owned(),
        ClosedBy::Limit => "limit".to_owned(),
        ClosedBy::Error(_) => "error".to_owned(),
    }
}
