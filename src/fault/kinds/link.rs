//! A whole link: what it loses, its rate and its length in one.

use std::any::Any;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use super::bandwidth::Narrow;
use super::latency::{self, Delay};
use super::loss::{self, Lossy};
use crate::event::Impact;
use crate::fault::{Cup, Cx, Distribution, Effects, Fault, FaultKind, How, Outlet, Segment};
use crate::units::{ByteRate, Moment, Period, Share};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Link;

/// Parameters of a link.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The rate toward the server, per connection.
    pub up: ByteRate,
    /// The rate toward the client, per connection.
    pub down: ByteRate,
    /// How much later bytes arrive, one way; half a round trip. Default `0s`.
    #[serde(default)]
    pub latency: Period,
    /// How far single delays lie from `latency`; at most `latency`. Default `0s`.
    #[serde(default)]
    pub jitter: Period,
    /// How delays are spread, as for `latency`. Default `uniform`.
    #[serde(default)]
    pub distribution: Distribution,
    /// The share of packets that are lost and sent again, as for `loss`. Default `0%`.
    #[serde(default = "none")]
    pub loss: Share,
    /// The chance with each packet that a burst of losses begins, as `turns_bad` of `loss`. Default
    /// `0%`.
    #[serde(default = "none")]
    pub loss_bursts: Share,
}

fn none() -> Share {
    Share::NONE
}

impl FaultKind for Link {
    const NAME: &'static str = "link";
    const SUMMARY: &'static str = "a slow line: rate each way, delay, jitter and losses in one";
    const STORY: &'static str = "\
On the wire, bytes are stalled by losses, carried one after the other at the rate of their way, and \
arrive `latency` later: the kinds `loss`, `bandwidth` and `latency` in this order, with one name \
and one set of parameters. Each connection has the line for itself. When the fault is lifted, what \
is under way arrives at once.

An application sees what its users see who sit behind such a line: every question takes a round \
trip, every answer its time on the line, and now and then one takes much longer.

It stands for the access networks and long distances whose figures are in the catalogue: `3g`, \
`dsl`, `satellite`, `lossy-wifi`.";
    const RAMPS: bool = true;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        latency::jitter_fits(params.latency, params.jitter)
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Line::new(&params)))),
            ..Effects::default()
        }
    }
}

struct Line {
    /// `None` if nothing is ever lost.
    lossy: Option<Lossy>,
    narrow: [Narrow; 2],
    delay: Delay,
    /// Of each part, per way.
    dice: [Option<[Cup; 3]>; 2],
    window: usize,
}

impl Line {
    fn new(params: &Params) -> Self {
        let narrow = [params.up, params.down].map(Narrow::new);
        let delay = Delay::new(&latency::Params {
            latency: params.latency,
            jitter: params.jitter,
            distribution: params.distribution,
            correlation: Share::NONE,
        });
        let fastest = params.up.max(params.down).bytes_per_second();
        let under_way = fastest as f64 * params.latency.as_secs_f64();
        let waiting = narrow.iter().map(Fault::window).max().unwrap_or(0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "not negative; saturates, and is bounded below"
        )]
        let window = waiting
            .saturating_add(under_way as usize)
            .min(delay.window());
        Self {
            lossy: lossy(params),
            narrow,
            delay,
            dice: [None, None],
            window,
        }
    }
}

fn lossy(params: &Params) -> Option<Lossy> {
    let never = params.loss == Share::NONE && params.loss_bursts == Share::NONE;
    (!never).then(|| {
        Lossy::new(loss::Params {
            rate: params.loss,
            rtt: Period(params.latency.get() * 2),
            turns_bad: params.loss_bursts,
            ..loss::Params::default()
        })
    })
}

impl Fault for Line {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let way = cx.direction as usize;
        let [first, second, third] = self.dice[way].get_or_insert_with(|| {
            [0, 1, 2].map(|_| Some(Box::new(ChaCha12Rng::from_rng(cx.rng()))))
        });
        let mut first = cx.with(first);
        let mut delayed = Then {
            part: &mut self.delay,
            cx: cx.with(third),
            out,
        };
        let mut narrowed = Then {
            part: &mut self.narrow[way],
            cx: cx.with(second),
            out: &mut delayed,
        };
        match &mut self.lossy {
            Some(lossy) => lossy.on_segment(&mut first, segment, &mut narrowed),
            None => narrowed.pass(segment),
        }
    }

    fn keeps_pace(&self) -> bool {
        true
    }

    fn resume(&mut self, cx: &Cx<'_>, parked: &mut dyn Iterator<Item = &mut Segment>) {
        self.narrow[cx.direction as usize].resume(cx, parked);
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        let Ok(before) = before.downcast::<Self>() else {
            return;
        };
        if let (Some(lossy), Some(before)) = (&mut self.lossy, &before.lossy) {
            lossy.follow(before);
        }
        for (narrow, before) in self.narrow.iter_mut().zip(&before.narrow) {
            narrow.follow(before);
        }
        self.delay.follow(&before.delay);
        self.dice = before.dice;
    }

    fn window(&self) -> usize {
        self.window
    }
}

/// Hands what comes out of one part to the next.
struct Then<'a, 'b> {
    part: &'a mut dyn Fault,
    cx: Cx<'b>,
    out: &'a mut dyn Outlet,
}

impl Outlet for Then<'_, '_> {
    fn pass(&mut self, segment: Segment) {
        self.part.on_segment(&mut self.cx, segment, self.out);
    }

    fn hold(&mut self, segment: Segment) {
        self.out.hold(segment);
    }

    fn wake_at(&mut self, at: Moment) {
        self.out.wake_at(at);
    }

    fn cut(&mut self, how: How) {
        self.out.cut(how);
    }

    fn hit(&mut self, impact: Impact) {
        self.out.hit(impact);
    }
}
