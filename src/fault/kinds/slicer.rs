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
or moved. Where the stream is cut depends on the seed, the connection and the position, counted from \
the injection or from the opening of a connection that is opened later, and neither on how the \
sender writes nor on how the receiver reads. A piece is not held back for bytes that may never come: \
what there is leaves, and the rest of the piece as it comes. While the receiver takes nothing, \
nothing leaves, and the pace goes on from there. 64 KiB wait in the proxy, of pieces below `64B` \
about 1,024, of large ones one piece but no more than 4 MiB; then it stops reading. When the fault is \
lifted, what waits arrives at once.

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
                    cuts: [Cut::default(); 2],
                })
            })),
            ..Effects::default()
        }
    }
}

/// Bytes that may wait, pieces that they may be, and what a single piece may be of it.
const WINDOW: usize = 64 << 10;
const PIECES: u64 = 1024;
const LARGEST: usize = 4 << 20;

struct Slices {
    params: Params,
    /// One per way.
    cuts: [Cut; 2],
}

/// How far the cutting of a stream has come.
#[derive(Clone, Copy, Default)]
struct Cut {
    /// Bytes that the present piece still lacks; 0 at its end.
    lacks: u64,
    /// When the present piece leaves.
    due: Moment,
    /// The earliest moment of the next piece.
    next: Moment,
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
        let cut = &mut self.cuts[cx.direction as usize];
        while !data.is_empty() {
            if cut.lacks == 0 {
                cut.lacks = cx.rng().random_range(least..=most);
                cut.due = cut.next;
            }
            // Bytes of one piece that are there in time are due together, and so leave together.
            cut.due = cut.due.max(segment.due);
            cut.next = cut.due + self.params.pause.get();
            let there = usize::try_from(cut.lacks)
                .unwrap_or(usize::MAX)
                .min(data.len());
            cut.lacks -= there as u64;
            out.pass(Segment {
                due: cut.due,
                payload: Payload::Data(data.split_to(there)),
                ..segment
            });
        }
    }

    fn keeps_pace(&self) -> bool {
        true
    }

    fn resume(&mut self, cx: &Cx<'_>, parked: &mut dyn Iterator<Item = &mut Segment>) {
        let cut = &mut self.cuts[cx.direction as usize];
        let mut due = cx.now;
        let mut planned = None;
        for segment in parked {
            if planned.is_some_and(|planned| planned != segment.due) {
                due = due + self.params.pause.get();
            }
            planned = Some(segment.due);
            segment.put_off(due);
        }
        if planned.is_some() {
            cut.due = due;
            cut.next = due + self.params.pause.get();
        }
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.cuts = before.cuts;
        }
    }

    fn window(&self) -> usize {
        // Tiny pieces cost more for their places in the queue than for their bytes.
        let most = PIECES.saturating_mul(self.params.size.0);
        let most = usize::try_from(most).unwrap_or(WINDOW).min(WINDOW);
        // A piece that leaves together waits until it is whole.
        let piece = self.params.size.0.saturating_add(self.params.variation.0);
        most.max(usize::try_from(piece).unwrap_or(LARGEST).min(LARGEST))
    }
}
