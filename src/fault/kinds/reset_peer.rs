//! A reset in the middle of a conversation.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Objection, Outlet, Segment};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct ResetPeer;

/// Parameters of a reset.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Time from the first byte, or end of a stream, to the reset. Default `0s`.
    #[serde(default)]
    pub delay: Period,
}

impl FaultKind for ResetPeer {
    const NAME: &'static str = "reset_peer";
    const SUMMARY: &'static str = "resets a connection as soon as it is used";
    const STORY: &'static str = "\
On the wire, the first byte or end of a stream that arrives in scope is held, and `delay` later \
both sides get RST. A connection that nobody uses is left alone, and so is one on which the fault \
is lifted before its time: what was held then goes on.

An application finds out at the worst moment: a connection that looked healthy in its pool breaks \
with \"connection reset by peer\" when it is used. In one direction only, toward the client, the \
server has done the work, and the answer is lost.

It stands for a restarted server, a firewall that forgot the connection, a peer that crashed. To \
end idle connections too, use `disconnect`.";
    type Params = Params;

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        let message = "the fault is over before a connection ends; write less than it lasts";
        length
            .is_some_and(|length| params.delay.get() >= length)
            .then_some(("delay", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Reset {
                    delay: params.delay,
                    armed: false,
                })
            })),
            ..Effects::default()
        }
    }
}

struct Reset {
    delay: Period,
    /// The first segment came.
    armed: bool,
}

impl Fault for Reset {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        if !self.armed {
            self.armed = true;
            if self.delay.is_zero() {
                return self.on_wake(cx, out);
            }
            out.hit(Impact::Withheld);
            out.wake_at(segment.due + self.delay.get());
        }
        out.hold(segment);
    }

    fn on_wake(&mut self, _cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        out.hit(Impact::Closed);
        out.cut(How::Rst);
    }
}
