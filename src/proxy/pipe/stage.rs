//! One fault in a pipe, with the segments that it parks.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::Signals;
use crate::event::{Impact, Name};
use crate::fault::{
    Armed, Candidate, Cup, Cx, Direction, Fault, How, Outlet, Payload, Segment, StreamFactory, Ways,
};
use crate::units::Moment;

/// A fault in force on one connection. What enters leaves in the same order, whatever the fault
/// does; the ways outside its scope pass it by.
pub(super) struct Stage {
    id: Id,
    /// Whether its first hit was reported.
    hit: bool,
    ways: Ways,
    /// When the fault was injected.
    since: Moment,
    revision: u32,
    fault: Box<dyn Fault>,
    dice: [Cup; 2],
    lanes: [Lane; 2],
}

/// Which occurrence of which fault.
struct Id {
    fault: Name,
    occurrence: u32,
}

/// One way through a stage.
#[derive(Default)]
struct Lane {
    queue: VecDeque<Parked>,
    /// What `queue` costs.
    parked: usize,
    /// When the last segment of the queue is due; none behind it may be earlier.
    last_due: Moment,
    wake: Option<Moment>,
    /// When what the fault let vanish first came.
    swallowed: Option<Moment>,
}

struct Parked {
    segment: Segment,
    /// Until the fault is lifted, not until it is due.
    held: bool,
}

/// What a parked segment costs of a window: its bytes and its place in the queue, so that a flood
/// of tiny segments is bounded too.
fn cost(segment: &Segment) -> usize {
    segment.len() + size_of::<Parked>()
}

impl Stage {
    /// Puts a fault in force on a connection; it may act at once.
    pub(super) fn attach(
        now: Moment,
        armed: &Armed,
        factory: &StreamFactory,
        conn: &Candidate,
        signals: &mut Signals,
    ) -> Self {
        let mut stage = Self {
            id: Id {
                fault: armed.fault.clone(),
                occurrence: armed.occurrence,
            },
            hit: false,
            ways: armed.scope.direction,
            since: armed.since,
            revision: armed.revision,
            fault: factory(),
            dice: [None, None],
            lanes: <[Lane; 2]>::default(),
        };
        for direction in stage.affected() {
            stage.ask(now, direction, conn, signals, |fault, cx, out| {
                fault.on_attach(cx, out);
            });
        }
        stage
    }

    /// Whether it is this occurrence of this fault.
    pub(super) fn is(&self, armed: &Armed) -> bool {
        self.id.fault == armed.fault && self.id.occurrence == armed.occurrence
    }

    /// Takes over the parameters that the fault has now. What is parked stays as it is: what comes
    /// behind it waits for it.
    pub(super) fn follow(&mut self, armed: &Armed, factory: &StreamFactory) {
        if self.revision != armed.revision {
            self.revision = armed.revision;
            let before = std::mem::replace(&mut self.fault, factory());
            self.fault.inherit(before);
        }
    }

    /// A segment arrives.
    pub(super) fn accept(
        &mut self,
        now: Moment,
        direction: Direction,
        segment: Segment,
        conn: &Candidate,
        signals: &mut Signals,
    ) {
        if !self.ways.includes(direction) {
            self.lanes[direction as usize].park(segment, false);
            return;
        }
        let arrived = segment.arrived;
        let put = self.ask(now, direction, conn, signals, |fault, cx, out| {
            fault.on_segment(cx, segment, out);
        });
        if !put {
            let swallowed = &mut self.lanes[direction as usize].swallowed;
            swallowed.get_or_insert(arrived);
        }
    }

    /// Lets the fault act if a moment that it asked for has come.
    pub(super) fn wake(
        &mut self,
        now: Moment,
        direction: Direction,
        conn: &Candidate,
        signals: &mut Signals,
    ) {
        if self.lanes[direction as usize]
            .wake
            .is_some_and(|at| at <= now)
        {
            self.lanes[direction as usize].wake = None;
            self.ask(now, direction, conn, signals, |fault, cx, out| {
                fault.on_wake(cx, out);
            });
        }
    }

    /// Whether what is due waits until the peer took what left before. What an end of the
    /// connection follows does not: a peer that takes nothing must not keep it open.
    pub(super) fn keeps_pace(&self, direction: Direction) -> bool {
        let last = self.lanes[direction as usize].queue.back();
        let ends = last.is_some_and(|last| matches!(last.segment.payload, Payload::End(_)));
        !ends && self.ways.includes(direction) && self.fault.keeps_pace()
    }

    /// The peer takes bytes again after it took none: what should have left meanwhile goes on at its
    /// pace from now.
    pub(super) fn resume(&mut self, now: Moment, direction: Direction, conn: &Candidate) {
        let lane = &mut self.lanes[direction as usize];
        if lane.next_due().is_none_or(|due| due >= now) {
            return;
        }
        let cx = Cx {
            now,
            direction,
            conn,
            fault: &self.id.fault,
            occurrence: self.id.occurrence,
            since: self.since,
            cup: &mut self.dice[direction as usize],
        };
        let mut parked = lane.queue.iter_mut().map(|parked| &mut parked.segment);
        self.fault.resume(&cx, &mut parked);
        let last = lane.queue.back().map(|last| last.segment.due);
        lane.last_due = lane.last_due.max(last.unwrap_or_default());
    }

    /// The next segment, if it is due.
    pub(super) fn release(&mut self, now: Moment, direction: Direction) -> Option<Segment> {
        let together = self.fault.keeps_pace();
        let lane = &mut self.lanes[direction as usize];
        let segment = lane.take(|next| next.due <= now)?;
        let Payload::Data(data) = &segment.payload else {
            return Some(segment);
        };
        let more = |next: &Segment| together && next.due == segment.due && !next.is_empty();
        let Some(next) = lane.take(more) else {
            return Some(segment);
        };
        // One piece that came in several: it is to be written as one.
        let mut whole = BytesMut::from(&**data);
        let mut next = Some(next);
        while let Some(Segment {
            payload: Payload::Data(data),
            ..
        }) = next
        {
            whole.extend_from_slice(&data);
            next = lane.take(more);
        }
        let payload = Payload::Data(whole.freeze());
        Some(Segment { payload, ..segment })
    }

    /// Ends the fault. What it parked remains to be taken with [`Self::into_parked`].
    pub(super) fn lift(&mut self, now: Moment, conn: &Candidate, signals: &mut Signals) {
        for direction in self.affected() {
            self.ask(now, direction, conn, signals, |fault, cx, out| {
                fault.on_lift(cx, out);
            });
        }
        if self.lanes.iter().any(|lane| lane.swallowed.is_some()) {
            signals.cut(How::Rst, &self.id.fault);
        }
    }

    /// Everything parked, one queue per way, due now.
    pub(super) fn into_parked(self, now: Moment) -> [impl Iterator<Item = Segment>; 2] {
        self.lanes.map(|lane| {
            lane.queue.into_iter().map(move |parked| Segment {
                due: now,
                ..parked.segment
            })
        })
    }

    /// When something will happen by itself, `written` telling for each way whether the peer took
    /// all that left.
    pub(super) fn next_wake(&self, written: [bool; 2]) -> Option<Moment> {
        let wakes = Direction::BOTH.map(|direction| {
            let waits = !written[direction as usize] && self.keeps_pace(direction);
            let lane = &self.lanes[direction as usize];
            let due = lane.next_due().filter(|_| !waits);
            due.into_iter().chain(lane.wake).min()
        });
        wakes.into_iter().flatten().min()
    }

    /// What is parked.
    pub(super) fn parked(&self, direction: Direction) -> usize {
        self.lanes[direction as usize].parked
    }

    /// Since when something is held back.
    pub(super) fn holds_since(&self, direction: Direction) -> Option<Moment> {
        let lane = &self.lanes[direction as usize];
        let front = lane.queue.front().map(|front| front.segment.arrived);
        front.into_iter().chain(lane.swallowed).min()
    }

    /// What may still be parked before the sender has to be held back.
    pub(super) fn room(&self, direction: Direction) -> usize {
        if self.ways.includes(direction) {
            self.fault.window().saturating_sub(self.parked(direction))
        } else {
            usize::MAX
        }
    }

    fn affected(&self) -> impl Iterator<Item = Direction> + use<> {
        let ways = self.ways;
        Direction::BOTH
            .into_iter()
            .filter(move |direction| ways.includes(*direction))
    }

    /// Lets the fault speak; tells whether it put a segment into the outlet.
    fn ask(
        &mut self,
        now: Moment,
        direction: Direction,
        conn: &Candidate,
        signals: &mut Signals,
        call: impl FnOnce(&mut dyn Fault, &mut Cx<'_>, &mut dyn Outlet),
    ) -> bool {
        let mut cx = Cx {
            now,
            direction,
            conn,
            fault: &self.id.fault,
            occurrence: self.id.occurrence,
            since: self.since,
            cup: &mut self.dice[direction as usize],
        };
        let mut exit = Exit {
            id: &self.id,
            hit: &mut self.hit,
            lane: &mut self.lanes[direction as usize],
            signals,
            put: false,
        };
        call(self.fault.as_mut(), &mut cx, &mut exit);
        exit.put
    }
}

impl Lane {
    fn park(&mut self, mut segment: Segment, held: bool) {
        self.last_due = self.last_due.max(segment.due);
        segment.due = self.last_due;
        self.parked += cost(&segment);
        self.queue.push_back(Parked { segment, held });
    }

    /// The next segment, unless it is held or does not meet the condition.
    fn take(&mut self, wanted: impl Fn(&Segment) -> bool) -> Option<Segment> {
        let front = |front: &mut Parked| !front.held && wanted(&front.segment);
        let segment = self.queue.pop_front_if(front)?.segment;
        self.parked -= cost(&segment);
        Some(segment)
    }

    fn next_due(&self) -> Option<Moment> {
        let front = self.queue.front().filter(|front| !front.held);
        front.map(|front| front.segment.due)
    }
}

/// The outlet of a stage.
struct Exit<'a> {
    id: &'a Id,
    hit: &'a mut bool,
    lane: &'a mut Lane,
    signals: &'a mut Signals,
    put: bool,
}

impl Outlet for Exit<'_> {
    fn pass(&mut self, segment: Segment) {
        self.put = true;
        self.lane.park(segment, false);
    }

    fn hold(&mut self, segment: Segment) {
        self.put = true;
        self.lane.park(segment, true);
    }

    fn wake_at(&mut self, at: Moment) {
        self.lane.wake = Some(at);
    }

    fn cut(&mut self, how: How) {
        self.put = true;
        self.signals.cut(how, &self.id.fault);
    }

    fn hit(&mut self, impact: Impact) {
        if !std::mem::replace(self.hit, true) {
            self.signals.hit(&self.id.fault, self.id.occurrence, impact);
        }
    }
}
