//! How busy a worker is, and when it is to hand connections on.

use std::cell::Cell;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};

use super::crew::{Busy, Crew};
use crate::units::Moment;

/// For so long a worker looks at itself before it judges.
const WINDOW: Duration = Duration::from_millis(20);

/// So many windows in a row without rest are no accident.
const WINDOWS: u32 = 2;

/// Every so many turns of connections the clock is read.
const TURNS: u32 = 16;

/// A worker's account of its own time. The runtime measures; this only looks, and only while there
/// is work: a worker that rests is not woken for it.
#[derive(Debug)]
pub(super) struct Shift {
    worker: usize,
    crew: Crew,
    metrics: RuntimeMetrics,
    turns: Cell<u32>,
    window: Cell<Window>,
    /// How many connections are to leave, and where to.
    leaving: Cell<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: u32,
    began: Moment,
    /// How long the worker had been busy when it began, and how often it had rested.
    before: (Duration, u64),
    /// Connections that had a turn.
    active: usize,
    /// How many windows before it were without rest.
    breathless: u32,
}

impl Shift {
    /// Must be called within the worker's runtime.
    pub(super) fn new(worker: usize, crew: Crew) -> Self {
        Self {
            worker,
            crew,
            metrics: Handle::current().metrics(),
            turns: Cell::default(),
            window: Cell::new(Window {
                number: 1,
                ..Window::default()
            }),
            leaving: Cell::default(),
        }
    }

    /// A connection has a turn; `last` is its own note of the window of its last one. Tells the
    /// worker that it is to go to, if it can leave now.
    pub(super) fn turn(&self, last: &mut u32, now: impl FnOnce() -> Moment) -> Option<usize> {
        let mut window = self.window.get();
        if *last != window.number {
            *last = window.number;
            window.active += 1;
            self.window.set(window);
        }
        self.turns.set(self.turns.get().wrapping_add(1));
        if self.turns.get().is_multiple_of(TURNS) {
            self.look(now());
        }
        let (count, to) = self.leaving.get();
        (count > 0).then_some(to)
    }

    /// A connection follows the call to leave.
    pub(super) fn left(&self) {
        let (count, to) = self.leaving.get();
        self.leaving.set((count.saturating_sub(1), to));
    }

    fn look(&self, now: Moment) {
        let window = self.window.get();
        if now.since(window.began) < WINDOW {
            return;
        }
        let total = (
            self.metrics.worker_total_busy_duration(0),
            self.metrics.worker_park_count(0),
        );
        let busy = window.busy(now, total);
        self.crew.tell(self.worker, busy, now);
        let next = window.next(now, total, busy);
        self.window.set(next);
        // One connection alone keeps any worker as busy.
        let crowded = next.breathless >= WINDOWS && window.active > 1;
        let reserve = crowded.then(|| self.crew.reserve(now)).flatten();
        self.leaving
            .set(reserve.map_or((0, 0), |to| (window.active / 2, to)));
    }
}

impl Window {
    /// The runtime adds up its busy time when it rests: one that did not rest was busy throughout.
    fn busy(&self, now: Moment, (busy, rests): (Duration, u64)) -> Busy {
        if rests == self.before.1 {
            Busy::ALWAYS
        } else {
            Busy::of(busy.saturating_sub(self.before.0), now.since(self.began))
        }
    }

    fn next(&self, now: Moment, before: (Duration, u64), busy: Busy) -> Self {
        let breathless = if busy >= Busy::TOO {
            self.breathless + 1
        } else {
            0
        };
        Self {
            number: self.number.wrapping_add(1),
            began: now,
            before,
            active: 0,
            breathless,
        }
    }
}
