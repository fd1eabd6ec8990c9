//! Nothing gets through, and then the connection is closed.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Objection, Outlet, Payload, Segment};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Timeout;

/// Parameters of a timeout.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How long nothing gets through before the connection is closed: from the injection, or from
    /// the opening of a connection that is opened later.
    pub delay: Period,
    /// How it is closed. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for Timeout {
    const NAME: &'static str = "timeout";
    const SUMMARY: &'static str = "drops all bytes, then closes the connection";
    const STORY: &'static str = "\
On the wire, every byte in scope vanishes in the proxy, and after `delay` the connection is ended \
toward both its sides. A stream that lost bytes cannot go on, so a connection that lost some is \
reset when the fault is lifted earlier.

An application waits for an answer that never comes, and gets an end of the stream instead of it. \
Whether the work was done it cannot know. A deadline below `delay` finds out sooner.

It stands for a load balancer or a firewall that gives up on a connection that it can no longer \
serve. To hold bytes without losing them, use `partition`.";
    type Params = Params;

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        let message = "the fault is over before a connection ends; write less than it lasts";
        length
            .is_some_and(|length| params.delay.get() >= length)
            .then_some(("delay", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Hole(params.clone())))),
            ..Effects::default()
        }
    }
}

struct Hole(Params);

impl Fault for Hole {
    fn on_attach(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.wake_at(cx.began() + self.0.delay.get());
    }

    fn on_segment(&mut self, _cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        match segment.payload {
            Payload::Data(_) => out.hit(Impact::Withheld),
            Payload::Eof => {}
            // A connection that is gone need not wait.
            Payload::End(_) => out.pass(segment),
        }
    }

    fn on_wake(&mut self, _cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.hit(Impact::Closed);
        out.cut(self.0.how);
    }
}
