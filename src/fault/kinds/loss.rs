//! Lost packets, as a stream of TCP feels them: everything stands still until the lost one was sent
//! again.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Outlet, Payload, Segment};
use crate::units::{Period, Share};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Loss;

/// Parameters of a loss.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The share of packets that are lost while the link is good.
    pub rate: Share,
    /// The round trip that TCP is to believe in; it decides how long a loss is felt. Default
    /// `50ms`.
    #[serde(default = "fifty_milliseconds")]
    pub rtt: Period,
    /// The least time after which a packet is sent again without a hint that it was lost; Linux
    /// waits `200ms`, RFC 6298 asks for `1s`. Default `200ms`.
    #[serde(default = "two_hundred_milliseconds")]
    pub min_rto: Period,
    /// The chance with each packet that the link turns bad (`p` of netem's `gemodel`). Default
    /// `0%`: losses are independent of each other.
    #[serde(default = "none")]
    pub turns_bad: Share,
    /// The chance with each packet that a bad link turns good again (`r`). Default `25%`: four
    /// packets on average.
    #[serde(default = "a_quarter")]
    pub turns_good: Share,
    /// The share of packets that are lost while the link is bad (`1-h`). Default `100%`.
    #[serde(default = "all")]
    pub bad_rate: Share,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            rate: Share::NONE,
            rtt: fifty_milliseconds(),
            min_rto: two_hundred_milliseconds(),
            turns_bad: none(),
            turns_good: a_quarter(),
            bad_rate: all(),
        }
    }
}

const fn fifty_milliseconds() -> Period {
    Period::from_millis(50)
}

const fn two_hundred_milliseconds() -> Period {
    Period::from_millis(200)
}

const fn none() -> Share {
    Share::NONE
}

fn a_quarter() -> Share {
    Share::from_fraction(0.25).expect("it lies between none and all")
}

const fn all() -> Share {
    Share::ALL
}

impl FaultKind for Loss {
    const NAME: &'static str = "loss";
    const SUMMARY: &'static str = "stalls the stream as lost and repeated packets would";
    const STORY: &'static str = "\
On the wire no byte is lost, because TCP does not lose any: the stream is looked at in packets of \
1,448 bytes, some of them are lost by the dice, and everything behind a lost one waits until it was \
sent again. If at least three packets of the same read follow, that takes one round trip (fast \
retransmit, RFC 5681). Otherwise it takes the retransmission timeout, three round trips and at \
least `min_rto`, doubled with each further loss of the same packet up to a minute (RFC 6298). Losses \
are independent, or come in bursts while the link is bad (the model of Gilbert and Elliott, as in \
netem's `gemodel`); a burst is over when its packets are sent again. That TCP also slows down is \
not modelled; add a `bandwidth` for it.

An application sees most answers on time and a few that are late by a fifth of a second, by half a \
second, by seconds. Small answers suffer most, since nothing behind them tells of their loss. The \
mean hides it; the 99th percentile does not.

It stands for congestion, bad radio, a failing cable or switch.";
    const RAMPS: bool = true;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if params.rate == Share::NONE && params.turns_bad == Share::NONE {
            let message = "nothing is ever lost; write for example `1%`, or let the link turn bad";
            return Err(("rate", message.to_owned()));
        }
        if params.turns_bad != Share::NONE && params.turns_good == Share::NONE {
            let message =
                "a link that never turns good again is a `partition`; write for example `25%`";
            return Err(("turns_good", message.to_owned()));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Lossy::new(params.clone())))),
            ..Effects::default()
        }
    }
}

/// What a packet carries over Ethernet with timestamps: 1,500 bytes less the headers.
const PACKET: usize = 1448;
/// Packets behind a lost one that tell the sender of its loss (RFC 5681).
const HINTS: usize = 3;
/// How often a packet is sent again (Linux' `tcp_retries2`).
const RETRIES: u32 = 15;
/// The longest retransmission timeout (RFC 6298 allows any from a minute up).
const LONGEST: Duration = Duration::from_secs(60);

/// Also a part of `link`.
pub(super) struct Lossy {
    params: Params,
    /// Whether the link is bad at present, per way.
    bad: [bool; 2],
}

impl Lossy {
    pub(super) const fn new(params: Params) -> Self {
        Self {
            params,
            bad: [false; 2],
        }
    }

    /// Goes on where another one is.
    pub(super) const fn follow(&mut self, before: &Self) {
        self.bad = before.bad;
    }

    /// Whether the next packet is lost.
    fn loses(&mut self, way: usize, rng: &mut ChaCha12Rng) -> bool {
        let turn = if self.bad[way] {
            self.params.turns_good
        } else {
            self.params.turns_bad
        };
        self.bad[way] ^= rng.random_bool(turn.fraction());
        let rate = if self.bad[way] {
            self.params.bad_rate
        } else {
            self.params.rate
        };
        rng.random_bool(rate.fraction())
    }

    /// The timeout after the first measurement of a round trip (RFC 6298, 2.2 and 2.4).
    fn timeout(&self) -> Duration {
        (self.params.rtt.get() * 3).max(self.params.min_rto.get())
    }

    /// How much later a packet arrives that was lost; `followers` were sent right behind it. By the
    /// time at which it is sent again, a burst of losses is over.
    fn delay(&self, followers: usize, rng: &mut ChaCha12Rng) -> Duration {
        let mut timeout = self.timeout();
        let mut delay = if followers >= HINTS {
            self.params.rtt.get()
        } else {
            timeout
        };
        for _ in 1..RETRIES {
            if !rng.random_bool(self.params.rate.fraction()) {
                break;
            }
            timeout = (timeout * 2).min(LONGEST);
            delay += timeout;
        }
        delay
    }
}

impl Fault for Lossy {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        let mut pass = |due, data: Bytes| {
            if !data.is_empty() {
                let payload = Payload::Data(data);
                out.pass(Segment {
                    due,
                    payload,
                    ..segment
                });
            }
        };
        let way = cx.direction as usize;
        let packets = data.len().div_ceil(PACKET);
        let mut stalled = false;
        let mut due = segment.due;
        // Bytes at the front of `data` that were not lost.
        let mut whole = 0;
        for packet in 0..packets {
            if self.loses(way, cx.rng()) {
                pass(due, data.split_to(whole));
                whole = 0;
                stalled = true;
                due = due.max(segment.due + self.delay(packets - packet - 1, cx.rng()));
            }
            whole += PACKET.min(data.len() - whole);
        }
        pass(due, data);
        if stalled {
            out.hit(Impact::Delayed);
        }
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.follow(before);
        }
    }

    /// As for a latency: a stall must not throttle what it does not lose.
    fn window(&self) -> usize {
        32 << 20
    }
}
