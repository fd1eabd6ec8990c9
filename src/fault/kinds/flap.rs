//! A link that goes down and comes up again and again.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Objection, Outlet, Payload, Segment};
use crate::units::{Moment, Period};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Flap;

/// Parameters of a flapping link.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How long the link is down in each cycle, above zero.
    pub down: Period,
    /// How long it is up in each cycle, above zero.
    pub up: Period,
}

impl FaultKind for Flap {
    const NAME: &'static str = "flap";
    const SUMMARY: &'static str = "a link that is down and up in turn; bytes wait while it is down";
    const STORY: &'static str = "\
On the wire, the link is down for `down`, up for `up`, and so on, for all connections at once, \
beginning with `down` at the injection. Bytes and ends that arrive while it is down wait, and leave \
together and in order when it comes up; after 4 MiB the sender is no longer read. When the fault is \
lifted, what waits arrives at once.

An application sees bursts of slow answers, and between them perfect health. A health check that is \
asked at the right moment sees nothing; one that must fail three times never fires; a retry often \
succeeds, which hides the trouble and multiplies the load.

It stands for a loose cable, a route that flaps, a radio link in motion, packets that are lost in \
bursts and sent again.";
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        for (key, period) in [("down", params.down), ("up", params.up)] {
            if period.is_zero() {
                let message =
                    "a link flaps only if it is down and up in turn; write a time above zero";
                return Err((key, message.to_owned()));
            }
        }
        Ok(())
    }

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        let message = "the fault is over before the link comes up; write less than it lasts, or use `partition`";
        length
            .is_some_and(|length| params.down.get() >= length)
            .then_some(("down", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Link {
                    down: params.down.get(),
                    cycle: params.down.get() + params.up.get(),
                })
            })),
            ..Effects::default()
        }
    }
}

struct Link {
    down: Duration,
    cycle: Duration,
}

impl Link {
    /// When the link that began to flap `since` carries what is there `at`.
    fn next_up(&self, since: Moment, at: Moment) -> Moment {
        let phase = at.since(since).as_nanos() % self.cycle.as_nanos();
        let phase = Duration::from_nanos(u64::try_from(phase).unwrap_or(u64::MAX));
        at + self.down.saturating_sub(phase)
    }
}

impl Fault for Link {
    fn on_segment(&mut self, cx: &mut Cx<'_>, mut segment: Segment, out: &mut dyn Outlet) {
        let due = self.next_up(cx.since, segment.due);
        if due > segment.due && matches!(segment.payload, Payload::Data(_)) {
            out.hit(Impact::Withheld);
        }
        segment.due = due;
        out.pass(segment);
    }
}
