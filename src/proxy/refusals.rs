//! Counts the clients that a shut port turns away.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_util::task::AbortOnDropHandle;

use super::Route;
use super::acceptor::PortState;
use crate::event::{Fact, Impact};
use crate::own::{MOST_STRANGERS, Strangers};

/// Counts until it is dropped.
#[derive(Debug)]
pub(super) struct Refusals(#[expect(dead_code, reason = "held")] AbortOnDropHandle<()>);

impl Refusals {
    /// Counts at `address`, which is shut. Where that is not permitted, records so.
    pub(super) fn count(route: &Arc<Route>, address: SocketAddr, port: PortState) -> Option<Self> {
        if let Ok(strangers) = Strangers::at(address) {
            let turned_away = turn_away(Arc::clone(route), strangers, port);
            return Some(Self(AbortOnDropHandle::new(tokio::spawn(turned_away))));
        }
        uncounted(route, port);
        None
    }
}

fn uncounted(route: &Route, port: PortState) {
    if let Some(fault) = route.control.shuts(port) {
        let proxy = route.name.clone();
        route
            .recorder
            .record(Fact::RefusalsUncounted { fault, proxy });
    }
}

async fn turn_away(route: Arc<Route>, mut strangers: Strangers, port: PortState) {
    loop {
        match strangers.next().await {
            Ok(Some(())) => {}
            Ok(None) => {
                return route.trouble(&format!(
                    "clients beyond the first {MOST_STRANGERS} that were turned away are not counted"
                ));
            }
            Err(_) => return uncounted(&route, port),
        }
        // It may have been lifted just now.
        if let Some(fault) = route.control.shuts(port) {
            route.recorder.record(Fact::FaultHit {
                fault,
                proxy: route.name.clone(),
                conn: None,
                impact: match port {
                    PortState::Ignoring => Impact::Withheld,
                    PortState::Open | PortState::Refusing => Impact::Refused,
                },
            });
        }
    }
}
