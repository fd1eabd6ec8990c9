//! How busy a worker is, and when it is to hand connections on.

use std::cell::Cell;
use std::time::Duration;

use super::crew::{Busy, Crew};
use crate::sys::process;
use crate::units::{Clock, Moment};

/// For so long a worker looks at itself before it judges.
const WINDOW: Duration = Duration::from_millis(20);

/// So many windows in a row with too little rest are no accident.
const WINDOWS: u32 = 2;

/// Every so many turns of connections the clock is read.
const TURNS: u32 = 16;

/// A worker's account of the processor time it uses. Time for which it waits for a core does not
/// count: a second thread would wait as well. It is read only while there is work: a worker that
/// rests is not woken for it.
#[derive(Debug)]
pub(super) struct Shift {
    worker: usize,
    crew: Crew,
    clock: Clock,
    turns: Cell<u32>,
    window: Cell<Window>,
    /// How many connections are to leave, and where to.
    leaving: Cell<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Window {
    number: u32,
    began: Moment,
    /// Processor time that the worker had used when it began.
    before: Duration,
    /// Connections that had a turn.
    active: usize,
    /// How many windows in a row before it had too little rest.
    breathless: u32,
}

impl Shift {
    pub(super) fn new(worker: usize, crew: Crew, clock: Clock) -> Self {
        Self {
            worker,
            crew,
            clock,
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
        if self.turns.get().is_multiple_of(TURNS) {
            self.look(self.clock.now(), process::thread_time);
        }
        let (count, to) = self.leaving.get();
        (count > 0).then_some(to)
    }

    /// A connection follows the call to leave.
    pub(super) fn left(&self) {
        let (count, to) = self.leaving.get();
        self.leaving.set((count.saturating_sub(1), to));
    }

    fn look(&self, now: Moment, used: impl FnOnce() -> Duration) {
        let window = self.window.get();
        if now.since(window.began) < WINDOW {
            return;
        }
        let used = used();
        let busy = Busy::of(used.saturating_sub(window.before), now.since(window.began));
        self.crew.tell(self.worker, busy, now);
        let mut next = window.next(now, used, busy);
        // One connection alone keeps any worker as busy.
        let crowded = next.breathless >= WINDOWS && window.active > 1;
        let reserve = crowded.then(|| self.crew.reserve(now)).flatten();
        if reserve.is_some() {
            // The other one has to show what it takes first.
            next.breathless = 0;
        }
        let leaving = reserve.map_or((0, 0), |to| (window.active / 2, to));
        self.leaving.set(leaving);
        self.window.set(next);
    }
}

impl Window {
    fn next(&self, now: Moment, before: Duration, busy: Busy) -> Self {
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
    fn windows_with_too_little_rest_count_only_in_a_row() {
        let first = Window::default().next(at(20), 19 * MS, Busy::ALWAYS);
        let second = first.next(at(40), 38 * MS, Busy::TOO);
        assert_eq!((first.breathless, second.breathless), (1, 2));
        let rested = second.next(at(60), 40 * MS, Busy::of(2 * MS, 20 * MS));
        assert_eq!(rested.breathless, 0);
        assert_eq!(rested.before, 40 * MS);
        assert_ne!(rested.number, second.number);
    }

    #[test]
    fn half_of_the_connections_that_had_a_turn_are_called_and_then_the_others_show_first() {
        let shift = Shift::new(0, Crew::new(2), Clock::start());
        shift.window.set(Window {
            number: 1,
            breathless: WINDOWS - 1,
            ..Window::default()
        });
        let mut notes = [0; 5];
        for note in &mut notes {
            assert_eq!(shift.turn(note), None);
            assert_eq!(shift.turn(note), None, "counts once");
        }
        shift.look(at(20), || 20 * MS);
        assert_eq!(shift.turn(&mut notes[0]), Some(1));
        shift.left();
        assert_eq!(shift.turn(&mut notes[1]), Some(1));
        shift.left();
        assert_eq!(shift.turn(&mut notes[2]), None);
        assert_eq!(shift.window.get().breathless, 0);
    }

    #[test]
    fn a_worker_that_waits_for_a_core_hands_nothing_on() {
        let shift = Shift::new(0, Crew::new(2), Clock::start());
        let mut notes = [0; 4];
        for window in 1..=10 {
            for note in &mut notes {
                assert_eq!(shift.turn(note), None);
            }
            shift.look(at(20 * window), || 13 * MS * window);
        }
        assert_eq!(shift.window.get().breathless, 0);
    }
}
