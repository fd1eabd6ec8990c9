//! Bytes in small pieces.

use std::any::Any;
use std::sync::Arc;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Outlet, Payload, Segment};
use crate::units::{Moment, Period, Size};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Slicer;

/// Parameters of a slicer.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The mean size of a piece, at least `1B`. Default `64B`.
    #[serde(default = "sixty_four_bytes")]
    pub size: Size,
    /// How much smaller or larger a piece may be, evenly drawn; less than `size`. Default `0B`.
    #[serde(default)]
    pub variation: Size,
    /// Time from one piece to the next, above zero: pieces without a pause would be written
    /// together. Default `1ms`.
    #[serde(default = "one_millisecond")]
    pub pause: Period,
}

const fn sixty_four_bytes() -> Size {
    Size(64)
}

const fn one_millisecond() -> Period {
    Period::from_millis(1)
}

impl FaultKind for Slicer {
    const NAME: &'static str = "slicer";
    const SUMMARY: &'static str = "cuts the stream into small pieces with pauses between them";
    const STORY: &'static str = "\
On the wire, bytes leave the proxy in pieces of about `size`, one every `pause`; no byte is changed \
or moved. 64 KiB wait in the proxy, of pieces below `64B` about 1,024, then it stops reading. When the fault is lifted, what waits \
arrives at once.

An application gets a message in many reads. Code that takes one read for one message breaks, and \
so does a deadline that starts anew with each read: the whole transfer has no end.

It stands for a network with a tiny maximum segment size, an overloaded middlebox, a slow sender, \
an attack with slow requests.";
    const RAMPS: bool = true;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if params.size.0 == 0 {
            return Err((
                "size",
                "a piece has at least one byte; write `1B`".to_owned(),
            ));
        }
        if params.variation >= params.size {
            let message = format!(
                "a variation of {} leaves no byte of a piece of {}; write less than the size",
                params.variation, params.size
            );
            return Err(("variation", message));
        }
        if params.pause.is_zero() {
            let message = "pieces without a pause are written together; write at least `100us`";
            return Err(("pause", message.to_owned()));
        }
        Ok(())
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Slices {
                    params: params.clone(),
                    next: [Moment::ZERO; 2],
                })
            })),
            ..Effects::default()
        }
    }
}

/// Bytes that may wait, and pieces that they may be.
const WINDOW: usize = 64 << 10;
const PIECES: u64 = 1024;

struct Slices {
    params: Params,
    /// The earliest moment of the next piece, per way.
    next: [Moment; 2],
}

impl Fault for Slices {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        out.hit(Impact::Altered);
        let (least, most) = (
            self.params.size.0 - self.params.variation.0,
            self.params.size.0 + self.params.variation.0,
        );
        let next = &mut self.next[cx.direction as usize];
        while !data.is_empty() {
            let size = usize::try_from(cx.rng().random_range(least..=most)).unwrap_or(usize::MAX);
            let due = segment.due.max(*next);
            *next = due + self.params.pause.get();
            out.pass(Segment {
                due,
                payload: Payload::Data(data.split_to(size.min(data.len()))),
                ..segment
            });
        }
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.next = before.next;
        }
    }

    fn window(&self) -> usize {
        // Tiny pieces cost more for their places in the queue than for their bytes.
        let most = PIECES.saturating_mul(self.params.size.0);
        usize::try_from(most).unwrap_or(WINDOW).min(WINDOW)
    }
}
