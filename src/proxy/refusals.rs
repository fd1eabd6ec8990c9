//! Counts the clients that a shut port turns away: the kernel does not tell who they were.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::Route;
use super::acceptor::Door;
use crate::event::{Fact, Impact};
use crate::own;
use crate::sys::knocks::Knocks;

/// Clients that are counted one by one, each time that the port is shut.
const MOST: usize = 10_000;

/// Counts until it is dropped.
#[derive(Debug)]
pub(super) struct Refusals(#[expect(dead_code, reason = "held")] AbortOnDropHandle<()>);

impl Refusals {
    /// Counts at `address`, which is shut. Where that is not permitted, records so.
    pub(super) fn count(route: &Arc<Route>, address: SocketAddr, door: Door) -> Option<Self> {
        if let Ok(knocks) = Knocks::at(address.port()) {
            let turned_away = turn_away(Arc::clone(route), knocks, address, door);
            return Some(Self(AbortOnDropHandle::new(tokio::spawn(turned_away))));
        }
        let fault = route.board.shuts(door)?;
        let proxy = route.name.clone();
        route
            .recorder
            .record(Fact::RefusalsUncounted { fault, proxy });
        None
    }
}

async fn turn_away(route: Arc<Route>, knocks: Knocks, address: SocketAddr, door: Door) {
    let mut seen = HashSet::new();
    while let Ok(knock) = knocks.next().await {
        let is_here = address.ip().is_unspecified() || address.ip().to_canonical() == knock.at;
        if !is_here || own::is_ours(knock.from) || !seen.insert(knock) {
            continue;
        }
        // It may have been lifted just now.
        if let Some(fault) = route.board.shuts(door) {
            route.recorder.record(Fact::FaultHit {
                fault,
                proxy: route.name.clone(),
                conn: None,
                impact: match door {
                    Door::Ignoring => Impact::Withheld,
                    Door::Open | Door::Refusing => Impact::Refused,
                },
            });
        }
        if seen.len() == MOST {
            return route
                .trouble("clients beyond the first 10,000 that were refused are not counted");
        }
    }
}
