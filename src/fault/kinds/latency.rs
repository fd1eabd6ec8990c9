//! Distance: every byte arrives later.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{
    Cx, Distribution, Effects, Fault, FaultKind, Objection, Outlet, Payload, Segment, Spread,
};
use crate::units::{Period, Share};

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
    /// How far single delays lie from `latency`: the most of it with `uniform`, the standard
    /// deviation with the others; at most `latency`. Default `0s`.
    #[serde(default)]
    pub jitter: Period,
    /// How delays are spread around `latency`, as in Linux' netem. Default `uniform`.
    #[serde(default)]
    pub distribution: Distribution,
    /// How much each delay resembles the one before it: the autocorrelation with `normal`, a little
    /// more than that of the others. It changes neither their mean nor their spread. Default `0%`.
    #[serde(default = "none")]
    pub correlation: Share,
}

fn none() -> Share {
    Share::NONE
}

impl FaultKind for Latency {
    const NAME: &'static str = "latency";
    const SUMMARY: &'static str =
        "delays bytes, evenly or with jitter of four shapes; throughput stays";
    const STORY: &'static str = "\
On the wire, bytes leave the proxy `latency` after they arrived. The delay counts from the arrival, \
so a burst stays a burst: twenty messages sent 5 ms apart all take the same time. Jitter changes \
the delay from one read to the next but never the order of bytes: who is overtaken is waited for. \
Its distributions are shaped as those of Linux' netem; real delays look most like `paretonormal`, \
whose tail ends 10.6 jitters above the mean (`pareto`: 12.2, `normal`: 4). No delay is below zero: \
where `normal` or `paretonormal` asks for less, with a jitter above a quarter or three fifths of \
the latency, it is none, so that the mean grows and the spread shrinks (with `normal` and a jitter \
as large as the latency by 8 % and to 87 % of it). Bytes that wait for those before them are \
delayed longer. Up to 32 MiB per connection and \
way travel at once, so throughput hardly suffers. Connecting itself is not delayed, because the \
proxy's kernel answers it. When the fault is lifted, bytes under way arrive at once.

An application sees slow answers: every round trip grows by the delay of each direction in scope, \
and work that asks many small questions in a row grows with their number. Deadlines may pass, and \
pools run dry although nothing is broken.

It stands for a distant region, a congested link, a VPN or an overloaded hop in between.";
    const RAMPS: bool = true;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        jitter_fits(params.latency, params.jitter)
    }

    fn futile(params: &Params, _length: Option<Duration>) -> Option<Objection> {
        let message = "no byte arrives later; write a time above zero, or let it grow with `ramp`";
        params.latency.is_zero().then_some(("latency", message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Delay::new(&params)))),
            ..Effects::default()
        }
    }
}

/// A jitter beyond the latency would ask for arrivals before departures. `link` asks too.
pub(super) fn jitter_fits(latency: Period, jitter: Period) -> Result<(), (&'static str, String)> {
    if jitter > latency {
        let message = format!(
            "jitter of {jitter} is more than the latency of {latency}; write at most `{latency}`, or raise the latency"
        );
        return Err(("jitter", message));
    }
    Ok(())
}

/// Also a part of `link`.
pub(super) struct Delay {
    mean: Duration,
    jitter: Duration,
    /// One per way.
    spread: [Spread; 2],
}

impl Delay {
    pub(super) fn new(params: &Params) -> Self {
        let spread = Spread::new(params.distribution, params.correlation.fraction());
        Self {
            mean: params.latency.get(),
            jitter: params.jitter.get(),
            spread: [spread.clone(), spread],
        }
    }

    /// Goes on where another one is.
    pub(super) fn follow(&mut self, before: &Self) {
        for (spread, before) in self.spread.iter_mut().zip(&before.spread) {
            spread.follow(before);
        }
    }

    fn draw(&mut self, cx: &mut Cx<'_>) -> Duration {
        if self.jitter.is_zero() {
            return self.mean;
        }
        let off = self.spread[cx.direction as usize].draw(cx.rng());
        let by = self.jitter.mul_f64(off.abs());
        if off < 0.0 {
            self.mean.saturating_sub(by)
        } else {
            self.mean.saturating_add(by)
        }
    }
}

impl Fault for Delay {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let delay = self.draw(cx);
        if matches!(segment.payload, Payload::Data(_)) && !delay.is_zero() {
            out.hit(Impact::Delayed);
        }
        out.pass(Segment {
            due: segment.due + delay,
            ..segment
        });
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.follow(before);
        }
    }

    /// A bandwidth-delay product: 4 MiB would throttle a fast link to 20 MB per half second at
    /// 100 ms.
    fn window(&self) -> usize {
        32 << 20
    }
}
