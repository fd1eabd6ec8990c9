//! Connections end, and new ones are welcome.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Outlet, Segment};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Disconnect;

/// Parameters of a disconnect.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How connections are ended: `fin` in an orderly way, `rst` by a reset. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for Disconnect {
    const NAME: &'static str = "disconnect";
    const SUMMARY: &'static str = "ends connections with FIN or RST; new ones are welcome";
    const STORY: &'static str = "\
On the wire, every connection in scope is ended toward both its sides at the moment of injection, \
with FIN or with RST; bytes still under way through other faults are lost. Without a length the \
fault acts once. With one, new connections in scope are ended too as soon as they are accepted, \
until it is lifted.

An application sees, with `fin`, an unexpected end of the stream; with `rst`, \"connection reset by \
peer\". An idle pool notices only when it next uses a connection, and a statement that was under way \
may or may not have been carried out. Connecting again succeeds at once.

It stands for a restarted pooler or load balancer, a server that ends idle sessions, an expired \
entry of a firewall, an operator who terminates sessions.";
    const LASTS: bool = false;
    type Params = Params;

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Cut { how: params.how }))),
            ..Effects::default()
        }
    }
}

/// Ends the connection as soon as it is attached to it. `partition` uses it too.
pub(super) struct Cut {
    pub(super) how: How,
}

impl Fault for Cut {
    fn on_attach(&mut self, _cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.hit(Impact::Closed);
        out.cut(self.how);
    }

    fn on_segment(&mut self, _cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        out.pass(segment);
    }
}
