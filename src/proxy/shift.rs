//! How busy a worker is, and when it is to hand connections on.

use std::cell::Cell;
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeMetrics};

use super::crew::{Busy, Crew};
use crate::units::{Clock, Moment};

/// For so long a worker looks at itself before it judges.
const WINDOW: Duration = Duration::from_millis(20);

/// So many windows in a row with too little rest are no accident.
const WINDOWS: u32 = 2;

/// Every so many turns of connections the clock is read.
const TURNS: u32 = 16;

/// A worker's account of its own time. The runtime measures; this only looks, and only while there
/// is work: a worker that rests is not woken for it.
#[derive(Debug)]
pub(super) struct Shift {
    worker: usize,
    crew: Crew,
    clock: Clock,
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
    /// How many windows in a row before it had too little rest.
    breathless: u32,
}

impl Shift {
    /// Must be called within the worker's runtime.
    pub(super) fn new(worker: usize, crew: Crew, clock: Clock) -> Self {
        Self {
            worker,
            crew,
            clock,
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
    pub(super) fn turn(&self, last: &mut u32) -> Option<usize> {
        let mut window = self.window.get();
        if *last != window.number {
            *last = window.number;
            window.active += 1;
            self.window.set(window);
        }
        self.turns.set(self.turns.get().wrapping_add(1));
        // A call is only as old as the window that it came from: who rested since is not in need.
        if self.called().is_some() || self.turns.get().is_multiple_of(TURNS) {
            self.look(self.clock.now());
        }
        self.called()
    }

    /// Where a connection is to go, if one is to leave.
    fn called(&self) -> Option<usize> {
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
        let mut next = window.next(now, total, busy);
        // One connection alone keeps any worker as busy.
        let crowded = next.breathless >= WINDOWS && window.active > 1;
        let reserve = crowded.then(|| self.crew.reserve(now)).flatten();
        if reserve.is_some() {
            // Counted anew: what this changes is not known yet.
            next.breathless = 0;
        }
        let leaving = reserve.map(|(to, its)| (busy.surplus(its, window.active), to));
        self.leaving.set(leaving.unwrap_or_default());
        self.window.set(next);
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

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn at(ms: u32) -> Moment {
        Moment::ZERO + MS * ms
    }

    #[test]
    fn a_worker_that_did_not_rest_was_busy_throughout_whatever_the_runtime_has_added_up() {
        let window = Window::default();
        assert_eq!(window.busy(at(20), (Duration::ZERO, 0)), Busy::ALWAYS);
        assert_eq!(window.busy(at(20), (12 * MS, 7)), Busy::TOO);
        assert_eq!(window.busy(at(20), (Duration::ZERO, 1)), Busy::NOT);
    }

    #[test]
    fn windows_with_too_little_rest_count_only_in_a_row() {
        let first = Window::default().next(at(20), (19 * MS, 1), Busy::ALWAYS);
        let second = first.next(at(40), (38 * MS, 2), Busy::TOO);
        assert_eq!((first.breathless, second.breathless), (1, 2));
        let rested = second.next(at(60), (40 * MS, 9), Busy::of(2 * MS, 20 * MS));
        assert_eq!(rested.breathless, 0);
        assert_eq!(rested.before, (40 * MS, 9));
        assert_ne!(rested.number, second.number);
    }

    #[tokio::test]
    async fn half_of_the_connections_that_had_a_turn_go_to_a_worker_that_rests() {
        let clock = Clock::start();
        let shift = Shift::new(0, Crew::new(2), clock);
        let mut notes = [0; 5];
        let breathless = Window {
            number: 1,
            breathless: WINDOWS - 1,
            before: (Duration::ZERO, shift.metrics.worker_park_count(0)),
            ..Window::default()
        };
        shift.window.set(breathless);
        for note in &mut notes {
            assert_eq!(shift.turn(note), None);
            assert_eq!(shift.turn(note), None, "counts once");
        }
        // A task that never yields is, to the runtime, one that never rests.
        shift.look(at(20));
        assert_eq!(shift.turn(&mut notes[0]), Some(1));
        shift.left();
        assert_eq!(shift.turn(&mut notes[1]), Some(1));
        shift.left();
        assert_eq!(shift.turn(&mut notes[2]), None);
        assert_eq!(shift.window.get().breathless, 0);
    }

    #[tokio::test]
    async fn a_call_to_leave_ends_with_its_window() {
        let clock = Clock::start();
        let shift = Shift::new(0, Crew::new(2), clock);
        shift.leaving.set((3, 1));
        assert_eq!(shift.turn(&mut 0), Some(1));
        while clock.now() < at(20) {
            std::hint::spin_loop();
        }
        assert_eq!(shift.turn(&mut 0), None);
    }
}
