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

use super::acceptor::AcceptLoop;
use super::connection::{self, AcceptedConn};
use super::context::WorkerContext;
use super::control::Control;
use super::limits;
use super::pipe::Budget;
use super::placement::{Place, Placement};
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
    queues: Arc<[mpsc::UnboundedSender<Handoff>]>,
    placement: Placement,
    /// Connections that there are descriptors for.
    most: u64,
}

/// Work for a worker.
pub(super) enum Handoff {
    /// To accept the connections of a proxy.
    Accept(AcceptLoop),
    /// To carry a connection.
    Carry(Box<AcceptedConn>, Place),
    /// To wake the connections of a proxy, whose control has changed.
    Wake(Arc<Control>),
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
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..count.get()).map(|_| mpsc::unbounded_channel()).unzip();
        let pool = Pool {
            queues: senders.into(),
            placement: Placement::new(count.get()),
            most,
        };
        let mut threads = Vec::new();
        for (index, handoffs) in receivers.into_iter().enumerate() {
            let (ready, started) = std::sync::mpsc::channel();
            let stop = stop.clone();
            let thread = thread::Builder::new()
                .name(format!("data-{index}"))
                .spawn(move || match set_up(index, clock) {
                    Ok((runtime, context)) => {
                        drop(ready.send(Ok(())));
                        work(&runtime, &context, handoffs, &stop);
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

    /// Gives an accept loop to the first worker. A worker that was stopped drops what it is given.
    pub(super) fn accept(&self, accepting: AcceptLoop) {
        drop(self.queues[0].send(Handoff::Accept(accepting)));
    }

    /// Gives a connection to the worker that carries the fewest.
    pub(super) fn assign(&self, accepted: AcceptedConn) {
        let place = self.placement.place();
        let queue = &self.queues[place.worker()];
        drop(queue.send(Handoff::Carry(Box::new(accepted), place)));
    }

    /// Has the workers wake the connections that follow a control, after a change.
    pub(super) fn wake(&self, control: &Arc<Control>) {
        let has_followers = |(worker, _): &(usize, _)| control.has_followers(*worker);
        for (_, queue) in self.queues.iter().enumerate().filter(has_followers) {
            // A worker that was stopped carries nothing.
            drop(queue.send(Handoff::Wake(Arc::clone(control))));
        }
    }
}

/// A worker's runtime and what its connections share.
fn set_up(index: usize, clock: Clock) -> io::Result<(LocalRuntime, Rc<WorkerContext>)> {
    // Without the runtime's own timers, which cost time at every turn: the context has better ones.
    let runtime = Builder::new_current_thread()
        .enable_io()
        .build_local(LocalOptions::default())?;
    let entered = runtime.enter();
    let context = WorkerContext::new(index, clock)?;
    drop(entered);
    Ok((runtime, Rc::new(context)))
}

fn work(
    runtime: &LocalRuntime,
    context: &Rc<WorkerContext>,
    mut handoffs: mpsc::UnboundedReceiver<Handoff>,
    stop: &CancellationToken,
) {
    runtime.block_on(async {
        let mut timers = spawn_local({
            let context = Rc::clone(context);
            async move { context.run_timers().await }
        });
        let connections = TaskTracker::new();
        loop {
            let handoff = tokio::select! {
                handoff = handoffs.recv() => match handoff {
                    Some(handoff) => handoff,
                    None => break,
                },
                () = stop.cancelled() => break,
                // Without a timer no fault is on time: no connection is better than a wrong one.
                _error = &mut timers => return,
            };
            let context = Rc::clone(context);
            match handoff {
                Handoff::Accept(accepting) => {
                    spawn_local(async move { accepting.work(&context).await });
                }
                Handoff::Carry(accepted, place) => {
                    connections.spawn_local(async move {
                        connection::serve(accepted, &context).await;
                        drop(place);
                    });
                }
                Handoff::Wake(control) => control.wake(context.worker()),
            }
        }
        connections.close();
        // Connections that do not end in time are dropped with the runtime.
        let _in_time = context
            .within(limits::SHUTDOWN, connections.wait())
            .await
            .is_some();
    });
}
