//! New connections wait before they are served.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Effects, FaultKind, ListenerPolicy, Objection};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct AcceptDelay;

/// Parameters of a delay of acceptance.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How long a new connection waits before the server is connected and its first byte is read.
    pub delay: Period,
}

impl FaultKind for AcceptDelay {
    const NAME: &'static str = "accept_delay";
    const SUMMARY: &'static str = "lets new connections wait before they are served";
    const STORY: &'static str = "\
On the wire, a new connection is established by the kernel as ever, and for `delay` nothing else \
happens: the server is not connected, and no byte is read. Then it is served as any other. Each \
connection waits for itself. Existing connections are left alone. When the fault is lifted, those \
that wait are served at once.

An application sees connecting succeed and the first answer come late: a deadline for connecting \
that covers only TCP does not help. A pool that opens connections on demand makes its users wait; \
one that keeps some ready does not.

It stands for a server whose accept queue is long, that forks or authenticates slowly, a load \
balancer that waits for a backend.";
    const RAMPS: bool = true;
    type Params = Params;

    fn futile(params: &Params, _length: Option<Duration>) -> Option<Objection> {
        let message = "nobody waits; write a time above zero, or let it grow with `ramp`";
        params.delay.is_zero().then_some(("delay", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            listener: Some(ListenerPolicy::Delay(params.delay.get())),
            ..Effects::default()
        }
    }
}
