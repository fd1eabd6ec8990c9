//! How a change reaches connections on other threads.
//!
//! A connection pays one atomic load per wake-up to learn that nothing changed. A change replaces the
//! [`ControlState`]. Each worker gets one message and wakes its subscribed connections. Once no
//! connection holds the state before it, the change is in force everywhere.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::oneshot;

use super::acceptor::PortState;
use super::limits;
use crate::event::Name;
use crate::fault::{Armed, Effects, ListenerPolicy};
use crate::units::{Clock, Moment};

/// What the connections of a proxy are to follow.
#[derive(Debug)]
pub(super) struct ControlState {
    /// Faults in force, oldest first.
    pub(super) armed: Vec<Armed>,
    /// Connections with a lower id are to end.
    close_below: u64,
    epoch: u64,
    /// Dropped with the last holder of this state: [`Change::settled`] waits for that.
    _held: Held,
}

/// Sends the moment of its drop. The dropping thread reads the clock, so no wake-up adds to it.
#[derive(Debug)]
struct Held {
    clock: Clock,
    released: Option<oneshot::Sender<Moment>>,
}

impl Held {
    fn new(clock: Clock) -> (Self, oneshot::Receiver<Moment>) {
        let (sender, receiver) = oneshot::channel();
        let released = Some(sender);
        (Self { clock, released }, receiver)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(released) = self.released.take() {
            // The receiver may have stopped waiting.
            released.send(self.clock.now()).ok();
        }
    }
}

#[derive(Debug)]
pub(super) struct Control {
    clock: Clock,
    epoch: AtomicU64,
    inner: Mutex<Inner>,
    /// The connections that a change wakes, for each worker.
    subscribers: Box<[Mutex<HashMap<u64, Waker>>]>,
}

#[derive(Debug)]
struct Inner {
    state: Arc<ControlState>,
    released: oneshot::Receiver<Moment>,
    /// Ids are unique among clients' and chaosproxy's own connections; ordinals are not.
    next_id: u64,
    next_conn: u64,
    next_own: u64,
}

/// A change on its way to the connections.
#[must_use = "a change is in force only once it has settled"]
pub(super) struct Change(oneshot::Receiver<Moment>);

impl Change {
    /// Waits until every connection follows the change. Returns since when; `None` if some did not
    /// within [`limits::CHANGE`].
    pub(super) async fn settled(self) -> Option<Moment> {
        let settled = tokio::time::timeout(limits::CHANGE, self.0).await;
        settled.ok()?.ok()
    }
}

impl Control {
    /// For connections on this number of workers.
    pub(super) fn new(clock: Clock, workers: usize) -> Self {
        let (held, released) = Held::new(clock);
        let state = ControlState {
            armed: Vec::new(),
            close_below: 0,
            epoch: 0,
            _held: held,
        };
        Self {
            clock,
            epoch: AtomicU64::new(0),
            inner: Mutex::new(Inner {
                state: Arc::new(state),
                released,
                next_id: 0,
                next_conn: 0,
                next_own: 0,
            }),
            subscribers: (0..workers).map(|_| Mutex::default()).collect(),
        }
    }

    /// Gives the next connection its ordinal and the present state in one step: for any change, a
    /// connection is either there or still to come. Chaosproxy's own connections are numbered
    /// apart, so that the ordinals of clients do not depend on them.
    pub(super) fn admit(self: &Arc<Self>, own: bool) -> Subscription {
        let mut inner = self.lock();
        let id = inner.next_id;
        inner.next_id += 1;
        let next = if own {
            &mut inner.next_own
        } else {
            &mut inner.next_conn
        };
        let conn = *next;
        *next += 1;
        Subscription {
            control: Arc::clone(self),
            id,
            conn,
            own,
            state: Some(Arc::clone(&inner.state)),
            seen: None,
            place: None,
        }
    }

    /// Puts a fault in force; `first_new` and `since` are set here.
    pub(super) fn arm(&self, mut fault: Armed, now: Moment) -> Change {
        self.publish(|armed, _, inner| {
            fault.first_new = inner.next_conn;
            fault.since = now;
            armed.push(fault);
        })
    }

    /// Changes the effects of a fault that is in force.
    pub(super) fn revise(&self, fault: &str, effects: &Effects) -> Change {
        self.publish(|all, _, _| {
            for armed in all.iter_mut().filter(|armed| *armed.fault == *fault) {
                armed.revision += 1;
                armed.effects = effects.clone();
            }
        })
    }

    /// Lifts the faults that `keep` does not want.
    pub(super) fn retain(&self, keep: impl FnMut(&Armed) -> bool) -> Change {
        self.publish(|armed, _, _| armed.retain(keep))
    }

    /// Whether a fault in force meets the condition.
    pub(super) fn any(&self, such: impl FnMut(&Armed) -> bool) -> bool {
        self.lock().state.armed.iter().any(such)
    }

    /// The oldest fault in force that shuts the port in this way.
    pub(super) fn shuts(&self, port: PortState) -> Option<Name> {
        let policy = match port {
            PortState::Open => return None,
            PortState::Refusing => ListenerPolicy::Refuse,
            PortState::Ignoring => ListenerPolicy::Ignore,
        };
        let inner = self.lock();
        let mut armed = inner.state.armed.iter();
        let first = armed.find(|armed| armed.listener() == Some(policy))?;
        Some(first.fault.clone())
    }

    /// Ends the connections that exist.
    pub(super) fn close_all(&self) -> Change {
        self.publish(|_, close_below, inner| *close_below = inner.next_id)
    }

    fn publish(&self, change: impl FnOnce(&mut Vec<Armed>, &mut u64, &Inner)) -> Change {
        let mut inner = self.lock();
        let mut armed = inner.state.armed.clone();
        let mut close_below = inner.state.close_below;
        change(&mut armed, &mut close_below, &inner);
        let (held, released) = Held::new(self.clock);
        let epoch = inner.state.epoch + 1;
        inner.state = Arc::new(ControlState {
            armed,
            close_below,
            epoch,
            _held: held,
        });
        let before = std::mem::replace(&mut inner.released, released);
        self.epoch.store(epoch, Ordering::Release);
        Change(before)
    }

    /// Whether `worker` carries connections that a change would wake.
    pub(super) fn has_followers(&self, worker: usize) -> bool {
        !lock(&self.subscribers[worker]).is_empty()
    }

    /// Wakes the connections that `worker` carries, so that they follow a change. To be called on
    /// its thread: from another one, each wake-up would cost a system call.
    pub(super) fn wake(&self, worker: usize) {
        for waker in lock(&self.subscribers[worker]).values() {
            waker.wake_by_ref();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The state after a change. The change does not settle before this is dropped.
pub(super) struct Changed {
    pub(super) state: Arc<ControlState>,
    _before: Option<Arc<ControlState>>,
}

/// One connection's subscription to changes.
#[derive(Debug)]
pub(super) struct Subscription {
    control: Arc<Control>,
    id: u64,
    conn: u64,
    own: bool,
    /// Held so that a change waits for the connection; `None` once it has left.
    state: Option<Arc<ControlState>>,
    seen: Option<u64>,
    /// The worker that it is subscribed at, and the waker of its task.
    place: Option<(usize, Waker)>,
}

impl Subscription {
    /// The ordinal of the connection.
    pub(super) const fn conn(&self) -> u64 {
        self.conn
    }

    /// Whether chaosproxy itself opened the connection.
    pub(super) const fn is_own(&self) -> bool {
        self.own
    }

    /// Whether the connection is to end.
    pub(super) const fn is_to_end(&self, state: &ControlState) -> bool {
        self.id < state.close_below
    }

    /// The state when the connection was admitted or last polled.
    pub(super) fn state(&self) -> Option<&Arc<ControlState>> {
        self.state.as_ref()
    }

    /// The present state, if it was not returned before. The task, which `worker` runs, is woken at
    /// the next change; it must call this directly, not through a combinator with wakers of its
    /// own.
    pub(super) fn poll(&mut self, cx: &Context<'_>, worker: usize) -> Option<Changed> {
        let known = self.place.as_ref();
        if !known.is_some_and(|(_, waker)| waker.will_wake(cx.waker())) {
            let waker = cx.waker();
            lock(&self.control.subscribers[worker]).insert(self.id, waker.clone());
            self.place = Some((worker, waker.clone()));
        } else if self.seen == Some(self.control.epoch.load(Ordering::Acquire)) {
            return None;
        }
        let state = Arc::clone(&self.control.lock().state);
        let news = self.seen != Some(state.epoch);
        self.seen = Some(state.epoch);
        let before = self.state.replace(Arc::clone(&state));
        news.then_some(Changed {
            state,
            _before: before,
        })
    }

    /// Stops following: later changes do not wait for this connection.
    pub(super) fn leave(&mut self) {
        self.state = None;
        if let Some((worker, _)) = self.place.take() {
            lock(&self.control.subscribers[worker]).remove(&self.id);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_worker_wakes_those_of_its_own_that_are_still_there() {
        let control = Arc::new(Control::new(Clock::start(), 2));
        let bells = [0, 1].map(|_| Arc::new(Bell::default()));
        let rung = || [0, 1].map(|worker| bells[worker].0.load(Ordering::Relaxed));
        let mut there = Vec::new();
        for (worker, bell) in bells.iter().enumerate() {
            let waker = Waker::from(Arc::clone(bell));
            let mut subscription = control.admit(false);
            assert!(
                subscription
                    .poll(&Context::from_waker(&waker), worker)
                    .is_some()
            );
            there.push(subscription);
        }
        let _change = control.close_all();
        assert_eq!(rung(), [0, 0]);
        control.wake(1);
        assert_eq!(rung(), [0, 1]);
        there.truncate(1);
        assert_eq!(
            [0, 1].map(|worker| control.has_followers(worker)),
            [true, false]
        );
        control.wake(0);
        control.wake(1);
        assert_eq!(rung(), [1, 1]);
    }

    #[test]
    fn a_change_settles_once_every_connection_has_seen_it() {
        let clock = Clock::start();
        let control = Arc::new(Control::new(clock, 1));
        let cx = Context::from_waker(Waker::noop());
        let mut first = control.admit(false);
        let second = control.admit(false);
        assert!(
            first.poll(&cx, 0).is_some(),
            "the first poll returns the present state"
        );
        assert!(first.poll(&cx, 0).is_none());

        let mut change = control.close_all();
        let news = first.poll(&cx, 0).expect("a change to be seen");
        assert!([&first, &second].map(|one| one.is_to_end(&news.state)) == [true; 2]);
        drop(second);
        assert!(change.0.try_recv() == Err(oneshot::error::TryRecvError::Empty));
        let before = clock.now();
        drop(news);
        let settled = change.0.try_recv().unwrap();
        assert!(before <= settled && settled <= clock.now());
        let (own, next) = (control.admit(true), control.admit(false));
        assert_eq!(
            (own.conn(), next.conn()),
            (0, 2),
            "each has ordinals of its own"
        );
        assert!(
            ![own, next]
                .iter()
                .any(|one| one.is_to_end(&control.lock().state))
        );
    }
}
