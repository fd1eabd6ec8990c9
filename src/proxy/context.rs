//! What the connections of a worker thread share.

use std::cell::{RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::limits;
use super::timer::{Timer, TimerQueue};
use crate::units::{Clock, Moment};

/// Has the task polled again after the other tasks had their turn and the runtime has looked for
/// events of sockets and timers. A task that wakes itself would come before those events.
pub(super) fn yield_turn(cx: &mut Context<'_>) {
    let yielded = pin!(tokio::task::yield_now()).poll(cx);
    debug_assert!(yielded.is_pending(), "it yields once");
}

/// What all connections of a worker thread share.
#[derive(Debug)]
pub(super) struct WorkerContext {
    worker: usize,
    timers: Rc<TimerQueue>,
    buffer: RefCell<Box<[u8]>>,
}

impl WorkerContext {
    /// Must be called within the worker's runtime.
    pub(super) fn new(worker: usize, clock: Clock) -> io::Result<Self> {
        Ok(Self::with(worker, TimerQueue::new(clock)?))
    }

    pub(super) fn with(worker: usize, timers: TimerQueue) -> Self {
        Self {
            worker,
            timers: Rc::new(timers),
            buffer: RefCell::new(vec![0; limits::BUFFER_BYTES].into()),
        }
    }

    /// The number of the worker, from 0.
    pub(super) const fn worker(&self) -> usize {
        self.worker
    }

    /// The present moment.
    pub(super) fn now(&self) -> Moment {
        self.timers.now()
    }

    /// Wakes the connections whose timers have come, for ever.
    pub(super) async fn run_timers(&self) -> io::Error {
        self.timers.run().await
    }

    /// The output of `future`; `None` if `limit` passes first.
    pub(super) async fn within<T>(
        &self,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Option<T> {
        let mut timer = self.timer();
        let deadline = self.timers.now() + limit;
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => timer.poll(cx, deadline).map(|()| None),
        })
        .await
    }

    /// Waits.
    pub(super) async fn sleep(&self, time: Duration) {
        let mut timer = self.timer();
        let until = self.now() + time;
        poll_fn(|cx| timer.poll(cx, until)).await;
    }

    /// A timer for one connection.
    pub(super) fn timer(&self) -> Timer {
        Timer::new(Rc::clone(&self.timers))
    }

    /// The buffer to read into. To be dropped before the task yields: the other connections of the
    /// thread use the same one.
    pub(super) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }
}
