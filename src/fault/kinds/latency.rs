//! Distance: every byte arrives later.

use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Outlet, Payload, Segment};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Latency;

/// Parameters of a latency.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How much later bytes arrive, one way. With both directions a round trip takes twice as
    /// much longer.
    pub latency: Period,
    /// Each delay is drawn evenly from `latency - jitter` to `latency + jitter`; at most
    /// `latency`. Default `0s`.
    #[serde(default)]
    pub jitter: Period,
}

impl FaultKind for Latency {
    const NAME: &'static str = "latency";
    const SUMMARY: &'static str = "delays bytes, evenly or with jitter; throughput stays";
    const STORY: &'static str = "\
On the wire, bytes leave the proxy `latency` after they arrived. The delay counts from the arrival, \
so a burst stays a burst: twenty messages sent 5 ms apart all take the same time. Jitter changes \
the delay from one read to the next but never the order of bytes. Up to 32 MiB per connection and \
way travel at once, so throughput hardly suffers. Connecting itself is not delayed, because the \
proxy's kernel answers it. When the fault is lifted, bytes under way arrive at once.

An application sees slow answers: every round trip grows by the delay of each direction in scope, \
and work that asks many small questions in a row grows with their number. Deadlines may pass, and \
pools run dry although nothing is broken.

It stands for a distant region, a congested link, a VPN or an overloaded hop in between.";
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if params.jitter > params.latency {
            let message = format!(
                "jitter of {} is more than the latency of {}; write at most `{1}`, or raise the latency",
                params.jitter, params.latency
            );
            return Err(("jitter", message));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Delay {
                    shortest: params.latency.saturating_sub(params.jitter.get()),
                    longest: params.latency.saturating_add(params.jitter.get()),
                })
            })),
            ..Effects::default()
        }
    }
}

struct Delay {
    shortest: Duration,
    longest: Duration,
}

impl Fault for Delay {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let delay = if self.shortest == self.longest {
            self.longest
        } else {
            cx.rng.random_range(self.shortest..=self.longest)
        };
        if matches!(segment.payload, Payload::Data(_)) && !delay.is_zero() {
            out.hit(Impact::Delayed);
        }
        out.pass(Segment {
            due: segment.due + delay,
            ..segment
        });
    }

    /// A bandwidth-delay product: 4 MiB would throttle a fast link to 20 MB per half second at
    /// 100 ms.
    fn window(&self) -> usize {
        32 << 20
    }
}
