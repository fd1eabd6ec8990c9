//! Ends of streams that come late.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Objection, Outlet, Payload, Segment};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct SlowClose;

/// Parameters of a slow close.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much later the end of a stream arrives.
    pub delay: Period,
}

impl FaultKind for SlowClose {
    const NAME: &'static str = "slow_close";
    const SUMMARY: &'static str = "delays the end of a stream, not its bytes";
    const STORY: &'static str = "\
On the wire, bytes pass as they come; the FIN behind them, or the reset, leaves the proxy `delay` \
later. When the fault is lifted, ends under way arrive at once.

An application sees a peer that said goodbye and does not hang up. Whoever waits for the end of the \
stream to know that an answer is whole waits too long; connections that were closed still count at \
the server, and its limit is reached although the client's pool is small.

It stands for a peer that is slow to close, a middlebox that lingers, lost FINs.";
    const RAMPS: bool = true;
    type Params = Params;

    fn futile(params: &Params, _length: Option<Duration>) -> Option<Objection> {
        let message = "no end arrives later; write a time above zero, or let it grow with `ramp`";
        params.delay.is_zero().then_some(("delay", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Linger(params.delay)))),
            ..Effects::default()
        }
    }
}

struct Linger(Period);

impl Fault for Linger {
    fn on_segment(&mut self, _cx: &mut Cx<'_>, mut segment: Segment, out: &mut dyn Outlet) {
        if !matches!(segment.payload, Payload::Data(_)) {
            out.hit(Impact::Delayed);
            segment.due = segment.due + self.0.get();
        }
        out.pass(segment);
    }
}
