//! The timers of a worker's connections, rung by one precise timer of the kernel.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::sys::timer::TimerFd;
use crate::units::{Clock, Moment};

/// The one precise timer of a worker thread, over the deadlines of all its connections.
#[derive(Debug)]
pub(super) struct Alarm {
    clock: Clock,
    timer: TimerFd,
    /// When the timer will fire, unless it has.
    set_to: Cell<Option<Moment>>,
    waiting: RefCell<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// By deadline; the number tells equal deadlines apart.
    wakers: BTreeMap<Ticket, Waker>,
    issued: u64,
}

type Ticket = (Moment, u64);

impl Alarm {
    /// An alarm for the present runtime. It rings only while [`Alarm::ring`] is polled.
    pub(super) fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self {
            clock,
            timer: TimerFd::new()?,
            set_to: Cell::default(),
            waiting: RefCell::default(),
        })
    }

    /// Wakes whoever's deadline has come, for ever.
    pub(super) async fn ring(&self) -> io::Error {
        loop {
            if let Err(error) = self.timer.fired().await {
                return error;
            }
            self.set_to.set(None);
            let now = self.clock.now();
            let mut waiting = self.waiting.borrow_mut();
            while let Some(entry) = waiting.wakers.first_entry()
                && entry.key().0 <= now
            {
                entry.remove().wake();
            }
            let next = waiting.wakers.first_key_value();
            if let Some(((deadline, _), _)) = next {
                self.set(*deadline);
            }
        }
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    fn enter(&self, deadline: Moment, waker: Waker) -> Ticket {
        let mut waiting = self.waiting.borrow_mut();
        waiting.issued += 1;
        let ticket = (deadline, waiting.issued);
        waiting.wakers.insert(ticket, waker);
        let is_first = waiting.wakers.first_key_value().map(|(first, _)| *first) == Some(ticket);
        if is_first {
            self.set(deadline);
        }
        ticket
    }

    /// Does nothing if the timer fires before: it is then set anew. A deadline that is left before
    /// it comes, as that of a dial is, so costs no system call.
    fn set(&self, deadline: Moment) {
        if self.set_to.get().is_some_and(|at| at <= deadline) {
            return;
        }
        self.set_to.set(Some(deadline));
        let delay = deadline.since(self.clock.now());
        // Setting a valid timer to a valid time does not fail.
        drop(self.timer.set(delay));
    }
}

/// Wakes one task at one moment at a time.
#[derive(Debug)]
pub(super) struct Timer {
    alarm: Rc<Alarm>,
    ticket: Option<Ticket>,
}

impl Timer {
    pub(super) const fn new(alarm: Rc<Alarm>) -> Self {
        Self {
            alarm,
            ticket: None,
        }
    }

    /// Ready once `deadline` has come; until then the task will be woken at it. An earlier
    /// deadline is forgotten.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        if self.alarm.clock.now() >= deadline {
            self.leave();
            return Poll::Ready(());
        }
        let stands = self.ticket.is_some_and(|ticket| {
            let waiting = self.alarm.waiting.borrow();
            let waker = waiting.wakers.get(&ticket);
            ticket.0 == deadline && waker.is_some_and(|waker| waker.will_wake(cx.waker()))
        });
        if !stands {
            self.leave();
            self.ticket = Some(self.alarm.enter(deadline, cx.waker().clone()));
        }
        Poll::Pending
    }

    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.alarm.waiting.borrow_mut().wakers.remove(&ticket);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::time::Duration;

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::select;

    use super::*;

    /// Waits for each delay in a timer of its own; gives the order in which they were over.
    async fn order(delays_ms: &[u64]) -> Vec<u64> {
        let clock = Clock::start();
        let alarm = Rc::new(Alarm::new(clock).unwrap());
        let over = RefCell::new(Vec::new());
        let begun = clock.now();
        // Polls in the order of the wake-ups, also if two deadlines have come at once.
        let waits: FuturesUnordered<_> = delays_ms
            .iter()
            .map(|delay| {
                let (alarm, over) = (Rc::clone(&alarm), &over);
                async move {
                    let deadline = begun + Duration::from_millis(*delay);
                    let mut timer = Timer::new(alarm);
                    poll_fn(|cx| timer.poll(cx, deadline)).await;
                    assert!(clock.now() >= deadline, "{delay} ms were over too early");
                    over.borrow_mut().push(*delay);
                }
            })
            .collect();
        select! {
            () = waits.collect() => {}
            error = alarm.ring() => panic!("{error}"),
        }
        assert!(alarm.waiting.borrow().wakers.is_empty());
        over.into_inner()
    }

    #[tokio::test]
    async fn deadlines_come_in_order_whatever_the_order_of_asking() {
        assert_eq!(order(&[30, 5, 20, 10]).await, [5, 10, 20, 30]);
    }

    #[tokio::test]
    async fn a_later_question_for_an_earlier_deadline_replaces_the_first() {
        let clock = Clock::start();
        let alarm = Rc::new(Alarm::new(clock).unwrap());
        let mut timer = Timer::new(Rc::clone(&alarm));
        let far = clock.now() + Duration::from_secs(3600);
        let near = clock.now() + Duration::from_millis(5);
        let both = poll_fn(|cx| {
            let _still_waiting = timer.poll(cx, far);
            timer.poll(cx, near)
        });
        select! {
            () = both => assert!(clock.now() >= near),
            error = alarm.ring() => panic!("{error}"),
        }
        drop(timer);
        assert!(alarm.waiting.borrow().wakers.is_empty());
    }
}
