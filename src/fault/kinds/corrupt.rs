//! Bytes that arrive as others.

use std::any::Any;
use std::sync::Arc;

use bytes::BytesMut;
use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Outlet, Payload, Segment};
use crate::units::{Share, Size};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Corrupt;

/// Parameters of a corruption.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The share of bytes that are changed, each drawn on its own.
    pub rate: Share,
    /// What becomes of such a byte: one `bit` of it is flipped, or the whole `byte` is replaced by
    /// another value. Default `bit`.
    #[serde(default)]
    pub flip: Flip,
    /// Bytes that are spared first, per connection and way, counted from the injection or from the
    /// opening of a connection that is opened later: they let its handshake pass. Default `0B`.
    #[serde(default)]
    pub spare: Size,
}

/// What becomes of a byte.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Flip {
    /// One bit is flipped.
    #[default]
    Bit,
    /// It becomes any other value.
    Byte,
}

impl FaultKind for Corrupt {
    const NAME: &'static str = "corrupt";
    const SUMMARY: &'static str = "changes bits or bytes; their number stays";
    const STORY: &'static str = "\
On the wire, a share of the bytes arrives changed; none is lost, added or moved. Which ones depends \
on the seed, the connection and the position, counted as for `spare`, and on nothing else: the same \
stream is damaged in the same places in every run.

An application gets nonsense where it expected sense: lengths of two gigabytes, message types that \
do not exist, text that is no text, and sometimes a wrong value that looks right. It must not hang, \
crash or ask for all memory; whoever wants to notice wrong values needs a checksum, such as TLS has.

It stands for broken hardware, a faulty middlebox, memory errors: rare, because TCP's own checksum \
finds most of it, and unforgettable.";
    const RAMPS: bool = true;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if params.rate == Share::NONE {
            let message = "a share of 0% changes nothing; write for example `0.01%`";
            return Err(("rate", message.to_owned()));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Damage {
                    rate: params.rate.fraction(),
                    flip: params.flip,
                    spare: params.spare.0,
                    next: [None; 2],
                })
            })),
            ..Effects::default()
        }
    }
}

struct Damage {
    rate: f64,
    flip: Flip,
    spare: u64,
    /// Whole bytes before the next victim, per way; `None` before the first byte.
    next: [Option<u64>; 2],
}

impl Damage {
    /// Whole bytes between two victims: a geometric draw, so that the outcome does not depend on
    /// how the stream is cut into reads.
    fn gap(&self, rng: &mut ChaCha12Rng) -> u64 {
        let draw: f64 = rng.random();
        let gap = (-draw).ln_1p() / (-self.rate).ln_1p();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "never negative; saturates far beyond any stream"
        )]
        let gap = gap as u64;
        gap
    }

    fn damaged(&self, byte: u8, rng: &mut ChaCha12Rng) -> u8 {
        byte ^ match self.flip {
            Flip::Bit => 1 << rng.random_range(0..8),
            Flip::Byte => rng.random_range(1..=255),
        }
    }
}

impl Fault for Damage {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let Payload::Data(data) = segment.payload else {
            return out.pass(segment);
        };
        let way = cx.direction as usize;
        let length = data.len() as u64;
        let mut next = match self.next[way] {
            Some(next) => next,
            None => self.spare.saturating_add(self.gap(cx.rng())),
        };
        let mut payload = data;
        if next < length {
            out.hit(Impact::Altered);
            let mut changed = BytesMut::from(payload);
            while let Some(byte) = usize::try_from(next)
                .ok()
                .and_then(|at| changed.get_mut(at))
            {
                *byte = self.damaged(*byte, cx.rng());
                next = next.saturating_add(1).saturating_add(self.gap(cx.rng()));
            }
            payload = changed.freeze();
        }
        self.next[way] = Some(next - length);
        out.pass(Segment {
            payload: Payload::Data(payload),
            ..segment
        });
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.next = before.next;
        }
    }
}
