//! A narrow line: bytes leave no faster than it carries them.

use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, Outlet, Payload, Segment};
use crate::units::{ByteRate, Moment, Size};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Bandwidth;

/// Parameters of a bandwidth.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What the line carries, one way; each way has a line of its own.
    pub rate: ByteRate,
    /// Who has the line: each `connection` one of its own, or all connections that the `fault`
    /// touches one together. Default `connection`.
    #[serde(default)]
    pub per: Per,
    /// Bytes that leave at once after a pause; the line is that much ahead of its rate at most.
    /// Default `0B`.
    #[serde(default)]
    pub burst: Size,
}

/// Who has the line.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each connection has its own.
    #[default]
    Connection,
    /// All connections that the fault touches share one.
    Fault,
}

impl FaultKind for Bandwidth {
    const NAME: &'static str = "bandwidth";
    const SUMMARY: &'static str = "limits the rate of bytes, per connection or shared";
    const STORY: &'static str = "\
On the wire, bytes leave the proxy one after the other at `rate`, cut into pieces of about 2 ms of \
the rate, so that the flow is even. A message arrives when its last byte does. A line of the fault \
is shared in the order in which bytes arrive. Of each connection about 100 ms of the rate, and 2 KiB \
at least, wait in the proxy; then it stops reading, and the sender feels the narrow line as a full \
socket. While a receiver takes nothing, a line of its connection stands still, and what waits leaves \
at `rate` afterwards; a line of the fault goes on. Times are computed in whole \
nanoseconds from the moment at which the line was last empty, so the rate does not drift. When the \
fault is lifted, what waits arrives at once.

An application sees large answers arrive slowly and small ones hardly later. Row streams, bulk \
loads and dumps hold their connections longer; a sender that expects its writes to be taken at once \
blocks, and deadlines that cover a whole transfer pass.

It stands for a saturated uplink, a throttled instance, a backup that takes the line.";
    const RAMPS: bool = true;
    type Params = Params;

    fn build(params: Params) -> Effects {
        let lines = move || lines(params.rate, params.burst);
        let shared = (params.per == Per::Fault).then(lines);
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Narrow {
                    rate: params.rate,
                    shared: shared.is_some(),
                    lines: shared.clone().unwrap_or_else(lines),
                })
            })),
            ..Effects::default()
        }
    }
}

/// Also a part of `link`.
pub(super) struct Narrow {
    rate: ByteRate,
    /// Whether other connections have the same line.
    shared: bool,
    /// One per way.
    lines: Arc<[Mutex<Line>; 2]>,
}

fn lines(rate: ByteRate, burst: Size) -> Arc<[Mutex<Line>; 2]> {
    Arc::new([0, 1].map(|_| Mutex::new(Line::new(rate, burst))))
}

impl Narrow {
    pub(super) fn new(rate: ByteRate) -> Self {
        Self {
            rate,
            shared: false,
            lines: lines(rate, Size(0)),
        }
    }

    /// Goes on where another one is.
    pub(super) fn follow(&mut self, before: &Self) {
        for (line, before) in self.lines.iter().zip(&*before.lines) {
            let [mut line, before] =
                [line, before].map(|line| line.lock().unwrap_or_else(PoisonError::into_inner));
            line.follow(&before);
        }
    }

    /// Bytes that leave together: 2 ms of the rate.
    fn piece(&self) -> usize {
        whole(self.rate.bytes_per_second() / 500).clamp(64, 256 << 10)
    }
}

impl Fault for Narrow {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        let pieces = data.len().div_ceil(self.piece()).max(1);
        let piece = data.len().div_ceil(pieces);
        // A thread that panicked left whole numbers behind.
        let mut line = self.lines[cx.direction as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !data.is_empty() {
            let bytes = data.split_to(piece.min(data.len()));
            let due = line.carry(segment.due, bytes.len());
            if due > segment.due {
                out.hit(Impact::Delayed);
            }
            out.pass(Segment {
                due,
                payload: Payload::Data(bytes),
                ..segment
            });
        }
    }

    /// A line of the fault carries for others meanwhile.
    fn keeps_pace(&self) -> bool {
        !self.shared
    }

    fn resume(&mut self, cx: &Cx<'_>, parked: &mut dyn Iterator<Item = &mut Segment>) {
        let mut line = self.lines[cx.direction as usize]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        line.restart(cx.now);
        for segment in parked {
            segment.put_off(line.carry(cx.now, segment.len()).max(segment.due));
        }
    }

    fn inherit(&mut self, before: Box<dyn Any>) {
        if let Some(before) = before.downcast_ref::<Self>() {
            self.follow(before);
        }
    }

    /// 100 ms of the rate: enough to keep the line busy, little enough to be felt by the sender.
    fn window(&self) -> usize {
        whole(self.rate.bytes_per_second() / 10).clamp(2 << 10, 32 << 20)
    }
}

/// Carries bytes one after the other: a leaky bucket as a meter of time.
struct Line {
    rate: u64,
    burst: Duration,
    /// When the line was last empty.
    empty: Moment,
    /// Bytes that it took since.
    taken: u64,
}

impl Line {
    fn new(rate: ByteRate, burst: Size) -> Self {
        let rate = rate.bytes_per_second();
        Self {
            rate,
            burst: time(burst.0, rate),
            empty: Moment::ZERO,
            taken: 0,
        }
    }

    /// Is empty only once the line before it is: what that one still carries comes first.
    fn follow(&mut self, before: &Self) {
        if before.clear() > self.clear() {
            self.empty = before.clear();
            self.taken = 0;
        }
    }

    /// Is empty at this moment.
    const fn restart(&mut self, at: Moment) {
        self.empty = at;
        self.taken = 0;
    }

    /// When the last of `bytes` that are there `at` this moment leaves.
    fn carry(&mut self, at: Moment, bytes: usize) -> Moment {
        if self.clear() <= at {
            self.empty = at;
            self.taken = 0;
        }
        self.taken += bytes as u64;
        self.clear().before(self.burst).max(at)
    }

    /// When it will have carried everything.
    fn clear(&self) -> Moment {
        self.empty + time(self.taken, self.rate)
    }
}

/// What `bytes` take at `rate` bytes per second; never less, so that the rate is never exceeded.
fn time(bytes: u64, rate: u64) -> Duration {
    let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(rate));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

fn whole(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
