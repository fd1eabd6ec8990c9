//! Logical attempts at a session, as seen at a proxy.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::check::{Connection, show};
use crate::event::Startup;
use crate::units::Moment;

/// One try to get a session, with its fallbacks folded in.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Attempt {
    /// When it began.
    pub(super) start: Moment,
    /// When its failure reached the client; `None` while it was pending or if it succeeded.
    pub(super) failed: Option<Moment>,
    /// Who made it.
    pub(super) identity: Identity,
    rank: u8,
}

/// What loops can be told apart by.
pub(super) type Identity = (IpAddr, String);

/// A client that falls back to a lesser kind of encryption dials anew at once; within this time it
/// is the same attempt.
pub(super) fn fold_within(base: Option<Duration>) -> Duration {
    const LONGEST: Duration = Duration::from_millis(50);
    base.map_or(LONGEST, |base| (base / 5).min(LONGEST))
}

/// The attempts that began within `window`, in order. At a proxy that sees startup packets a
/// connection without one is no attempt, and neither is a `CancelRequest`.
pub(super) fn seen(
    connections: &[Connection],
    window: (Moment, Moment),
    fold: Duration,
) -> Vec<Attempt> {
    let framed = connections
        .iter()
        .any(|connection| !connection.startup.is_empty());
    let mut attempts: Vec<Attempt> = Vec::new();
    for connection in connections {
        let inside = connection.opened >= window.0 && connection.opened <= window.1;
        let silent = framed && connection.startup.is_empty();
        if !inside || silent || connection.is_cancel() {
            continue;
        }
        let next = attempt(connection);
        // Only a step down is a fallback: a storm of equal requests must stay a storm.
        let fallback = attempts.iter_mut().rev().find(|last| {
            last.identity.0 == next.identity.0
                && last.rank < next.rank
                && last
                    .failed
                    .is_some_and(|failed| next.start >= failed && next.start.since(failed) <= fold)
        });
        match fallback {
            Some(last) => {
                last.failed = next.failed;
                last.rank = next.rank;
                last.identity = next.identity;
            }
            None => attempts.push(next),
        }
    }
    attempts
}

fn attempt(connection: &Connection) -> Attempt {
    let name = connection
        .startup
        .iter()
        .find_map(|(_, packet)| match packet {
            Startup::Session {
                application_name, ..
            } => Some(application_name.clone()),
            _ => None,
        });
    let rank = |packet: &Startup| match packet {
        Startup::Gss => 0,
        Startup::Ssl | Startup::Tls => 1,
        Startup::Session { .. } | Startup::Cancel | Startup::Unknown => 2,
    };
    let ranks = connection.startup.iter().map(|(_, packet)| rank(packet));
    Attempt {
        start: connection.opened,
        failed: match connection.ready {
            Some(_) => None,
            None => connection
                .client_left
                .or(connection.closed.as_ref().map(|(at, _)| *at)),
        },
        identity: (connection.peer.ip(), name.unwrap_or_default()),
        rank: ranks.max().unwrap_or(2),
    }
}

/// The attempts of each identity.
pub(super) fn by_identity(attempts: &[Attempt]) -> BTreeMap<&Identity, Vec<&Attempt>> {
    let mut lanes: BTreeMap<&Identity, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        lanes.entry(&attempt.identity).or_default().push(attempt);
    }
    lanes
}

/// The waits of one loop, in seconds: from the failure of each attempt to the start of the next.
/// Negative if the next began before the failure, as when loops interleave. The wait after the last
/// attempt is incomplete and left out.
pub(super) fn gaps(lane: &[&Attempt]) -> Vec<f64> {
    lane.windows(2)
        .filter_map(|pair| Some(pair[1].start.seconds_from(pair[0].failed?)))
        .collect()
}

/// The first gaps, and how many more there are.
pub(super) fn listed(gaps: &[f64]) -> String {
    const LISTED: usize = 12;
    let first = gaps.iter().take(LISTED);
    let first: Vec<String> = first.map(|gap| show::seconds(*gap)).collect();
    let first = first.join(", ");
    match gaps.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_storm_is_not_listed_attempt_by_attempt() {
        assert_eq!(listed(&[0.5, 1.0]), "500 ms, 1 s");
        let storm = listed(&[0.1; 300]);
        assert_eq!(storm.matches("100 ms").count(), 12);
        assert!(storm.ends_with("100 ms and 288 more"), "{storm}");
    }
}
