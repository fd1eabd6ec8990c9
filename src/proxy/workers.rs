//! The threads that carry bytes. Nothing else may run on them.

use std::io;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::mpsc;
use tokio::task::spawn_local;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::acceptor::Doorkeeper;
use super::board::Board;
use super::desk::Desk;
use super::limits;
use super::pipe::Budget;
use super::placement::{Place, Placement};
use super::serve::{self, Arrival};
use crate::sys::net;
use crate::units::Clock;

/// The worker threads of all proxies. Dropping this ends them and their connections.
#[derive(Debug)]
pub struct Workers {
    pool: Pool,
    threads: Vec<JoinHandle<()>>,
    stop: DropGuard,
    budget: Arc<Budget>,
}

/// Hands work to the workers.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    hands: Arc<[mpsc::UnboundedSender<Errand>]>,
    placement: Placement,
    /// Connections that there are descriptors for.
    most: u64,
}

/// What a worker is asked to do.
pub(super) enum Errand {
    /// To accept the connections of a proxy.
    Accept(Doorkeeper),
    /// To carry a connection.
    Carry(Box<Arrival>, Place),
    /// To wake the connections of a board, which has changed.
    Rouse(Arc<Board>),
}

impl Workers {
    /// Starts `count` threads; `None` starts one per core.
    pub fn start(count: Option<NonZero<usize>>, clock: Clock) -> io::Result<Self> {
        let count = count.map_or_else(thread::available_parallelism, Ok)?;
        let descriptors = net::raise_descriptor_limit()?;
        let most = limits::max_connections(descriptors);
        if most == 0 {
            let kept = limits::OTHER_DESCRIPTORS;
            let why =
                format!("of {descriptors} open files {kept} are for other things than connections");
            return Err(io::Error::other(why));
        }
        let stop = CancellationToken::new();
        // Threads that were started end if one cannot be.
        let guard = stop.clone().drop_guard();
        let (hands, queues): (Vec<_>, Vec<_>) =
            (0..count.get()).map(|_| mpsc::unbounded_channel()).unzip();
        let pool = Pool {
            hands: hands.into(),
            placement: Placement::new(count.get()),
            most,
        };
        let mut threads = Vec::new();
        for (index, errands) in queues.into_iter().enumerate() {
            let (ready, started) = std::sync::mpsc::channel();
            let stop = stop.clone();
            let thread = thread::Builder::new()
                .name(format!("data-{index}"))
                .spawn(move || match station(index, clock) {
                    Ok((runtime, desk)) => {
                        drop(ready.send(Ok(())));
                        work(&runtime, &desk, errands, &stop);
                        // Waits for no name to be looked up: that may take the resolver minutes.
                        runtime.shutdown_background();
                    }
                    Err(error) => drop(ready.send(Err(error))),
                })?;
            started.recv().map_err(io::Error::other)??;
            threads.push(thread);
        }
        Ok(Self {
            pool,
            threads,
            stop: guard,
            budget: Arc::default(),
        })
    }

    pub(super) fn pool(&self) -> Pool {
        self.pool.clone()
    }

    /// How many threads there are.
    pub(super) fn count(&self) -> usize {
        self.threads.len()
    }

    /// What the connections of all proxies may hold together.
    pub(super) fn budget(&self) -> Arc<Budget> {
        Arc::clone(&self.budget)
    }

    /// Ends the threads and waits for them.
    pub async fn stop(self) {
        drop(self.stop);
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                // A panic was already reported by its hook; there is nothing left to join.
                drop(thread.join());
            }
        });
        drop(joined.await);
    }
}

impl Pool {
    /// Whether one more connection would leave enough descriptors.
    pub(super) fn has_room(&self) -> bool {
        (self.placement.open() as u64) < self.most
    }

    /// Gives an accept loop to the first worker. One that was stopped takes nothing: what it is given
    /// is dropped.
    pub(super) fn attend(&self, doorkeeper: Doorkeeper) {
        drop(self.hands[0].send(Errand::Accept(doorkeeper)));
    }

    /// Gives a connection to the worker that carries the fewest.
    pub(super) fn assign(&self, arrival: Arrival) {
        let place = self.placement.place();
        let hand = &self.hands[place.worker()];
        drop(hand.send(Errand::Carry(Box::new(arrival), place)));
    }

    /// Lets the workers that carry connections of a board wake these: it has changed.
    pub(super) fn rouse(&self, board: &Arc<Board>) {
        let concerned = |(worker, _): &(usize, _)| board.has_followers(*worker);
        for (_, hand) in self.hands.iter().enumerate().filter(concerned) {
            // A worker that was stopped carries nothing.
            drop(hand.send(Errand::Rouse(Arc::clone(board))));
        }
    }
}

/// A worker's runtime and what its connections share.
fn station(index: usize, clock: Clock) -> io::Result<(LocalRuntime, Rc<Desk>)> {
    // Without the runtime's own timers, which would cost at every turn: the desk's are better.
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build_local(LocalOptions::default())?;
    let entered = runtime.enter();
    let desk = Desk::new(index, clock)?;
    drop(entered);
    Ok((runtime, Rc::new(desk)))
}

fn work(
    runtime: &LocalRuntime,
    desk: &Rc<Desk>,
    mut errands: mpsc::UnboundedReceiver<Errand>,
    stop: &CancellationToken,
) {
    runtime.block_on(async {
        let mut ringing = spawn_local({
            let desk = Rc::clone(desk);
            async move { desk.ring().await }
        });
        let links = TaskTracker::new();
        loop {
            let errand = tokio::select! {
                errand = errands.recv() => match errand {
                    Some(errand) => errand,
                    None => break,
                },
                () = stop.cancelled() => break,
                // Without its timer no fault keeps its word: rather no connections.
                _error = &mut ringing => return,
            };
            let desk = Rc::clone(desk);
            match errand {
                Errand::Accept(doorkeeper) => {
                    spawn_local(async move { doorkeeper.work(&desk).await });
                }
                Errand::Carry(arrival, place) => {
                    links.spawn_local(async move {
                        serve::serve(arrival, &desk).await;
                        drop(place);
                    });
                }
                Errand::Rouse(board) => board.rouse(desk.worker()),
            }
        }
        links.close();
        // Those that do not end in time are dropped with the runtime.
        let _in_time = desk.within(limits::SHUTDOWN, links.wait()).await.is_some();
    });
}
