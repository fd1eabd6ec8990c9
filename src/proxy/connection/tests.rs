//! Connections between two legs in memory, in virtual time.

use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::select;
use tokio::task::yield_now;

use super::receive::AcceptedConn;
use super::{Connection, Ledger, serve};
use crate::action::Protocol;
use crate::event::{ClosedBy, Fact, Stream, bus};
use crate::fault::{Armed, How, Scope, kind};
use crate::proxy::Route;
use crate::proxy::context::WorkerContext;
use crate::proxy::control::Control;
use crate::proxy::limits;
use crate::proxy::stats::Counters;
use crate::proxy::timer::TimerQueue;
use crate::proxy::transport::Transport;
use crate::units::{Clock, Moment, Reach};

/// A leg in memory, and what its peer sees of it.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    /// What the peer sent and the proxy has not read.
    sent: VecDeque<u8>,
    /// How the peer ended its sending.
    sent_end: Option<How>,
    /// What the proxy wrote and the peer has not taken.
    received: VecDeque<u8>,
    /// How the proxy ended its writing.
    received_end: Option<How>,
    /// Bytes that are buffered for the peer before it takes them.
    capacity: usize,
    waker: Option<Waker>,
}

impl Memory {
    fn of_capacity(capacity: usize) -> Self {
        let leg = Self::default();
        leg.lock().capacity = capacity;
        leg
    }

    fn lock(&self) -> RefMut<'_, State> {
        self.0.borrow_mut()
    }

    fn wake(&self) {
        if let Some(waker) = self.lock().waker.take() {
            waker.wake();
        }
    }

    fn send(&self, bytes: &[u8]) {
        self.lock().sent.extend(bytes);
        self.wake();
    }

    fn end(&self, how: How) {
        self.lock().sent_end = Some(how);
        self.wake();
    }

    /// Takes at most `most` bytes.
    fn take(&self, most: usize) -> Vec<u8> {
        let mut state = self.lock();
        let most = most.min(state.received.len());
        let taken = state.received.drain(..most).collect();
        drop(state);
        self.wake();
        taken
    }

    /// How the proxy ended its writing, once it has.
    async fn ended(&self) -> How {
        loop {
            if let Some(how) = self.lock().received_end {
                return how;
            }
            tokio::time::sleep(MS).await;
        }
    }
}

/// The proxy's side.
struct Leg(Memory);

impl Leg {
    fn state(&mut self, cx: &Context<'_>) -> RefMut<'_, State> {
        let mut state = self.0.lock();
        state.waker = Some(cx.waker().clone());
        state
    }
}

impl Transport for Leg {
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state(cx);
        match state.sent_end {
            Some(How::Rst) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            Some(How::Fin) if state.sent.is_empty() => return Poll::Ready(Ok(0)),
            None if state.sent.is_empty() => return Poll::Pending,
            _ => {}
        }
        let n = buffer.len().min(state.sent.len());
        for (into, byte) in buffer.iter_mut().zip(state.sent.drain(..n)) {
            *into = byte;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut state = self.state(cx);
        let room = state.capacity - state.received.len();
        // As the kernel does: there is room once a good part of the buffer is free.
        if room < (state.capacity / 3).max(1) {
            return Poll::Pending;
        }
        let bytes = pieces.iter().flat_map(|piece| piece.iter().copied());
        let before = state.received.len();
        state.received.extend(bytes.take(room));
        Poll::Ready(Ok(state.received.len() - before))
    }

    fn shutdown(&mut self) {
        self.0.lock().received_end = Some(How::Fin);
    }

    fn reset_on_drop(&mut self) {
        self.0.lock().received_end = Some(How::Rst);
    }

    fn poll_error(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match self.state(cx).sent_end {
            Some(How::Rst) => Poll::Ready(io::ErrorKind::ConnectionReset.into()),
            _ => Poll::Pending,
        }
    }

    fn unacknowledged(&self) -> io::Result<u32> {
        Ok(u32::try_from(self.0.lock().received.len()).unwrap())
    }

    fn poll_sent(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

const MS: Duration = Duration::from_millis(1);

/// A connection under test, and its peers.
struct Rig {
    client: Memory,
    server: Memory,
    route: Arc<Route>,
    facts: Stream,
    context: WorkerContext,
}

impl Rig {
    fn new(client_capacity: usize) -> Self {
        let clock = Clock::of_tokio();
        let (recorder, facts) = bus(clock);
        let route = Route {
            name: "p".into(),
            protocol: Protocol::Tcp,
            upstream: String::new(),
            reach: Reach::default(),
            dial_timeout: Duration::ZERO,
            keepalive: None,
            max_connections: 1,
            seed: 0,
            recorder,
            control: Arc::new(Control::new(clock, 1)),
            counters: Arc::new(Counters::new(1)),
            own_counters: Arc::new(Counters::new(1)),
            budget: Arc::default(),
        };
        Self {
            client: Memory::of_capacity(client_capacity),
            server: Memory::of_capacity(1 << 20),
            route: Arc::new(route),
            facts,
            context: WorkerContext::with(0, TimerQueue::virtual_time(clock)),
        }
    }

    fn now(&self) -> Moment {
        self.context.now()
    }

    /// Puts a fault in force on connections to come and, once they have run, on those that exist.
    fn arm(&self, name: &str, params: &Value) {
        let armed = Armed {
            fault: name.into(),
            occurrence: 0,
            scope: Scope::default(),
            first_new: 0,
            since: Moment::ZERO,
            revision: 0,
            effects: (kind(name).unwrap().build)(params).unwrap(),
        };
        drop(self.route.control.arm(armed, self.now()));
        self.route.control.wake(0);
    }

    fn connection(&self) -> Connection<Leg> {
        let subscription = self.route.control.admit(false);
        let (peer, now) = (SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), self.now());
        let candidate = AcceptedConn::candidate(&self.route, &subscription, peer.ip(), now);
        let ledger = Ledger::open(&self.route, subscription.conn(), false, peer, now);
        let legs = [&self.client, &self.server].map(|memory| Some(Leg(memory.clone())));
        Connection::new(ledger, subscription, candidate, legs, &self.context)
    }

    /// Carries the connection to its end while its peers do as `peers` says. Returns who closed it.
    async fn run(mut self, peers: impl AsyncFnOnce(&Rig)) -> ClosedBy {
        let mut connection = self.connection();
        let carried = async {
            let ending = connection.carry(&self.context).await;
            connection.end(ending, &self.context).await;
        };
        select! {
            _ = async { tokio::join!(carried, peers(&self)) } => {}
            error = self.context.run_timers() => panic!("{error}"),
            () = tokio::time::sleep(Duration::from_mins(15)) => panic!("it does not end"),
        }
        assert_eq!(self.route.counters.snapshot().open, 0);
        loop {
            let event = self.facts.next().await.expect("the end is recorded");
            if let Fact::ConnectionClosed { cause, .. } = event.fact {
                return cause;
            }
        }
    }
}

/// Lets everything run that can run now.
async fn settle() {
    for _ in 0..10 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_and_half_closes_pass_as_they_are() {
    let closed = Rig::new(3).run(async |rig| {
        rig.client.send(b"question");
        rig.client.end(How::Fin);
        settle().await;
        assert_eq!(rig.server.take(100), b"question");
        assert_eq!(rig.server.lock().received_end, Some(How::Fin));
        rig.server.send(b"answer");
        let mut got = Vec::new();
        while got.len() < 6 {
            assert_eq!(rig.client.lock().received_end, None);
            settle().await;
            let taken = rig.client.take(100);
            assert!((1..=3).contains(&taken.len()), "the client's window is 3");
            got.extend(taken);
        }
        assert_eq!(got, b"answer");
        rig.server.end(How::Fin);
        assert_eq!(rig.client.ended().await, How::Fin);
    });
    assert_eq!(closed.await, ClosedBy::Client);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_passed_on_though_its_side_is_not_read() {
    let closed = Rig::new(1).run(async |rig| {
        rig.server.send(b"more than the client takes");
        settle().await;
        rig.server.end(How::Rst);
        assert_eq!(rig.client.ended().await, How::Rst);
    });
    assert_eq!(closed.await, ClosedBy::Upstream);
}

#[tokio::test(start_paused = true)]
async fn latency_is_exact_in_virtual_time() {
    let rig = Rig::new(100);
    rig.arm("latency", &json!({ "latency": "70ms" }));
    let closed = rig.run(async |rig| {
        rig.client.send(b"late");
        let sent = rig.now();
        while rig.server.lock().received.is_empty() {
            tokio::time::sleep(MS).await;
        }
        let took = rig.now().since(sent);
        assert!((70 * MS..=72 * MS).contains(&took), "{took:?}");
        rig.client.end(How::Fin);
        rig.server.end(How::Fin);
        rig.client.ended().await;
    });
    assert_eq!(closed.await, ClosedBy::Client);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_followed_before_bytes_are_moved() {
    let rig = Rig::new(100);
    let mut connection = rig.connection();
    let mut buffer = [0; 100];
    let cx = &mut Context::from_waker(Waker::noop());
    let mut turn = || {
        assert!(connection.poll(cx, &mut buffer).is_pending());
        rig.server.lock().received.len()
    };
    assert_eq!(turn(), 0, "the first turn only follows the present state");
    rig.client.send(b"hello");
    let change = rig.route.control.retain(|_| true);
    assert_eq!(turn(), 0);
    assert!(change.settled().await.is_some());
    assert_eq!(turn(), 5);
}

/// 90 kB of which 50 kB may pass towards the client, whose system buffers 30 kB and whose
/// application takes 1 kB every `pause`. Returns what it got, and after how long it saw which end.
async fn cut_behind_slow_reader(pause: Duration, how: &str) -> (usize, Duration, How) {
    let rig = Rig::new(30_000);
    let params = json!({ "bytes": "50kB", "how": how });
    rig.arm("limit_data", &params);
    let mut outcome = None;
    let closed = rig.run(async |rig| {
        rig.server.send(&vec![7; 90_000]);
        let began = rig.now();
        let mut got = 0;
        let end = async {
            let how = rig.client.ended().await;
            (rig.now().since(began), how)
        };
        let read = async {
            loop {
                tokio::time::sleep(pause).await;
                got += rig.client.take(1_000).len();
            }
        };
        let (took, how) = select! {
            end = end => end,
            () = read => unreachable!(),
        };
        outcome = Some((got, took, how));
    });
    assert_eq!(closed.await, ClosedBy::Fault("limit_data".into()));
    outcome.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_everything_that_precedes_the_end_of_a_fault() {
    let (got, took, how) = cut_behind_slow_reader(Duration::from_secs(9), "fin").await;
    assert_eq!((got, how), (50_000, How::Fin));
    assert!(took >= Duration::from_secs(9 * 50), "{took:?}");
    let (got, _, how) = cut_behind_slow_reader(MS, "rst").await;
    assert_eq!((got, how), (50_000, How::Rst));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_for_10_s_is_reset_whatever_the_end_of_the_fault() {
    for how in ["fin", "rst"] {
        let (got, took, how) = cut_behind_slow_reader(Duration::from_secs(11), how).await;
        assert_eq!((got, how), (0, How::Rst));
        let limit = limits::DELIVERY;
        assert!((limit..limit + 50 * MS).contains(&took), "{took:?}");
    }
}

/// Thousands of connections may be held at once, each with a task of its own.
#[test]
fn a_connection_takes_little_memory_for_its_task() {
    fn size_of_result<'a, F>(_: impl FnOnce(Box<AcceptedConn>, &'a WorkerContext) -> F) -> usize {
        size_of::<F>()
    }
    let size = size_of_result(serve);
    assert!((200..1_300).contains(&size), "{size}");
}
