//! The timers of a worker's connections: one precise timer of the kernel over all their deadlines.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::sys::timer::TimerFd;
use crate::units::{Clock, Moment};

/// The deadlines of a worker thread.
#[derive(Debug)]
pub(super) struct TimerQueue {
    clock: Clock,
    source: Source,
    /// When the source will fire, unless it has.
    set_to: Cell<Option<Moment>>,
    waiting: RefCell<Waiting>,
}

/// What wakes the queue.
#[derive(Debug)]
enum Source {
    Kernel(TimerFd),
    #[cfg(test)]
    Tokio(tests::VirtualTimer),
}

#[derive(Debug, Default)]
struct Waiting {
    wakers: BTreeMap<Entry, Waker>,
    issued: u64,
}

/// By deadline; the number keeps equal deadlines apart.
type Entry = (Moment, u64);

impl Source {
    fn set(&self, delay: Duration) {
        match self {
            // Setting a valid timer to a valid time does not fail.
            Self::Kernel(timer) => drop(timer.set(delay)),
            #[cfg(test)]
            Self::Tokio(timer) => timer.set(delay),
        }
    }

    async fn fired(&self) -> io::Result<()> {
        match self {
            Self::Kernel(timer) => timer.fired().await,
            #[cfg(test)]
            Self::Tokio(timer) => {
                timer.fired().await;
                Ok(())
            }
        }
    }
}

impl TimerQueue {
    /// A queue for the present runtime. It wakes only while [`TimerQueue::run`] is polled.
    pub(super) fn new(clock: Clock) -> io::Result<Self> {
        Ok(Self::with(Source::Kernel(TimerFd::new()?), clock))
    }

    fn with(source: Source, clock: Clock) -> Self {
        Self {
            clock,
            source,
            set_to: Cell::default(),
            waiting: RefCell::default(),
        }
    }

    /// Wakes the tasks whose deadline has come, for ever.
    pub(super) async fn run(&self) -> io::Error {
        loop {
            if let Err(error) = self.source.fired().await {
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

    fn enter(&self, deadline: Moment, waker: Waker) -> Entry {
        let mut waiting = self.waiting.borrow_mut();
        waiting.issued += 1;
        let entry = (deadline, waiting.issued);
        waiting.wakers.insert(entry, waker);
        let is_first = waiting.wakers.first_key_value().map(|(first, _)| *first) == Some(entry);
        if is_first {
            self.set(deadline);
        }
        entry
    }

    /// Does nothing if the source fires before: it is then set anew. So a deadline that is left
    /// before it comes, such as that of a dial, costs no system call.
    fn set(&self, deadline: Moment) {
        if self.set_to.get().is_some_and(|at| at <= deadline) {
            return;
        }
        self.set_to.set(Some(deadline));
        self.source.set(deadline.since(self.clock.now()));
    }
}

/// Wakes one task at one moment at a time.
#[derive(Debug)]
pub(super) struct Timer {
    queue: Rc<TimerQueue>,
    entry: Option<Entry>,
}

impl Timer {
    pub(super) const fn new(queue: Rc<TimerQueue>) -> Self {
        Self { queue, entry: None }
    }

    /// Ready once `deadline` has come; until then the task will be woken at it. An earlier
    /// deadline is forgotten.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        if self.queue.clock.now() >= deadline {
            self.leave();
            return Poll::Ready(());
        }
        let stands = self.entry.is_some_and(|entry| {
            let waiting = self.queue.waiting.borrow();
            let waker = waiting.wakers.get(&entry);
            entry.0 == deadline && waker.is_some_and(|waker| waker.will_wake(cx.waker()))
        });
        if !stands {
            self.leave();
            self.entry = Some(self.queue.enter(deadline, cx.waker().clone()));
        }
        Poll::Pending
    }

    fn leave(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.queue.waiting.borrow_mut().wakers.remove(&entry);
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
    use std::future::{pending, poll_fn};

    use futures_util::StreamExt;
    use futures_util::stream::FuturesUnordered;
    use tokio::select;
    use tokio::sync::Notify;
    use tokio::time::{Instant, sleep_until};

    use super::*;

    /// Follows tokio's clock, which a test can pause. Its runtime rounds up to milliseconds.
    #[derive(Debug, Default)]
    pub(crate) struct VirtualTimer {
        due: Cell<Option<Instant>>,
        was_set: Notify,
    }

    impl VirtualTimer {
        pub(super) fn set(&self, delay: Duration) {
            self.due.set(Some(Instant::now() + delay));
            self.was_set.notify_one();
        }

        pub(super) async fn fired(&self) {
            loop {
                let due = async {
                    match self.due.get() {
                        Some(due) => sleep_until(due).await,
                        None => pending().await,
                    }
                };
                select! {
                    () = due => return self.due.set(None),
                    () = self.was_set.notified() => {}
                }
            }
        }
    }

    impl TimerQueue {
        /// A queue in the virtual time of a runtime whose clock is paused.
        pub(crate) fn virtual_time(clock: Clock) -> Self {
            Self::with(Source::Tokio(VirtualTimer::default()), clock)
        }
    }

    /// Waits for each delay in a timer of its own; gives the order in which they were over.
    async fn order(delays_ms: &[u64]) -> Vec<u64> {
        let clock = Clock::start();
        let timers = Rc::new(TimerQueue::new(clock).unwrap());
        let over = RefCell::new(Vec::new());
        let begun = clock.now();
        // Polls in the order of the wake-ups, also if two deadlines have come at once.
        let waits: FuturesUnordered<_> = delays_ms
            .iter()
            .map(|delay| {
                let (timers, over) = (Rc::clone(&timers), &over);
                async move {
                    let deadline = begun + Duration::from_millis(*delay);
                    let mut timer = Timer::new(timers);
                    poll_fn(|cx| timer.poll(cx, deadline)).await;
                    assert!(clock.now() >= deadline, "{delay} ms were over too early");
                    over.borrow_mut().push(*delay);
                }
            })
            .collect();
        select! {
            () = waits.collect() => {}
            error = timers.run() => panic!("{error}"),
        }
        assert!(timers.waiting.borrow().wakers.is_empty());
        over.into_inner()
    }

    #[tokio::test]
    async fn deadlines_come_in_order_whatever_the_order_of_asking() {
        assert_eq!(order(&[30, 5, 20, 10]).await, [5, 10, 20, 30]);
    }

    #[tokio::test]
    async fn a_later_question_for_an_earlier_deadline_replaces_the_first() {
        let clock = Clock::start();
        let timers = Rc::new(TimerQueue::new(clock).unwrap());
        let mut timer = Timer::new(Rc::clone(&timers));
        let far = clock.now() + Duration::from_secs(3600);
        let near = clock.now() + Duration::from_millis(5);
        let both = poll_fn(|cx| {
            let _still_waiting = timer.poll(cx, far);
            timer.poll(cx, near)
        });
        select! {
            () = both => assert!(clock.now() >= near),
            error = timers.run() => panic!("{error}"),
        }
        drop(timer);
        assert!(timers.waiting.borrow().wakers.is_empty());
    }
}
