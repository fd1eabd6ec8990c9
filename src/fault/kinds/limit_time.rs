//! No connection grows old.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Outlet, Segment};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct LimitTime;

/// Parameters of a limit of time.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How old a connection may become, counted from its opening.
    pub lifetime: Period,
    /// How it is ended. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for LimitTime {
    const NAME: &'static str = "limit_time";
    const SUMMARY: &'static str = "ends every connection that reaches an age";
    const STORY: &'static str = "\
On the wire, a connection is ended toward both its sides, with FIN or with RST, when it is \
`lifetime` old, whatever it does at that moment. Connections that are older than that at the \
injection are ended at once.

An application loses connections in the middle of their work, at a steady pace and never all \
together, unless they were all opened together. A pool that replaces what it loses hardly notices; \
one that counts every loss as an outage does.

It stands for a load balancer or a pooler with a maximum lifetime, a NAT gateway that drops \
long-lived flows, credentials that expire with the session.";
    type Params = Params;

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Lifetime(params.clone())))),
            ..Effects::default()
        }
    }
}

struct Lifetime(Params);

impl Fault for Lifetime {
    fn on_attach(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        let end = cx.conn.opened + self.0.lifetime.get();
        if end <= cx.now {
            self.on_wake(cx, out);
        } else {
            out.wake_at(end);
        }
    }

    fn on_segment(&mut self, _cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        out.pass(segment);
    }

    fn on_wake(&mut self, _cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.hit(Impact::Closed);
        out.cut(self.0.how);
    }
}
