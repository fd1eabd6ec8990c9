//! The guard: one process per run that starts everything the run needs and cleans up, even when the
//! run itself is killed.
//!
//! This file is the run's side; [`serve`] is the guard process. The two share a socket: requests
//! go one way, reports the other, and the end of the stream asks the guard to clear away. A guard
//! that is itself killed gets a successor when the run finishes.

mod directory;
mod message;
mod process;
mod shim;

pub use directory::CLUSTERS;
pub use message::{Exit, Kind, Launch};
pub use process::serve;
pub use shim::{ShimArgs, turn_into_child};

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::LabError;
use crate::sys::process::kill_group;
use message::{Report, Request};

/// How long the guard may take to start; it may have to clean up after earlier runs first.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long the guard may take to clean up.
const CLEAR_LIMIT: Duration = Duration::from_secs(45);

/// Handle of the guard. Dropping it makes the guard clean up.
#[derive(Debug)]
pub struct Guard {
    requests: Requests,
    state: Arc<Mutex<State>>,
    ended: CancellationToken,
    exe: PathBuf,
    directory: PathBuf,
    next_child: AtomicU64,
}

/// A child that the guard started.
#[derive(Debug, Clone)]
pub struct Child {
    number: u64,
    pid: u32,
    requests: Requests,
    exit: watch::Receiver<Option<Exit>>,
}

/// A command that the guard runs when the run is gone.
#[derive(Debug)]
pub struct Promise(u64);

type Requests = Arc<tokio::sync::Mutex<Option<OwnedWriteHalf>>>;

/// Children and pending requests.
#[derive(Debug, Default)]
struct State {
    starting: HashMap<u64, oneshot::Sender<Result<u32, String>>>,
    running: HashMap<u64, Running>,
    /// What the guard is to start when the run is gone; its successor needs to know.
    promises: BTreeMap<u64, Launch>,
    left: Option<Vec<String>>,
}

#[derive(Debug)]
struct Running {
    kind: Kind,
    /// Known once it is started.
    pid: Option<u32>,
    ended: watch::Sender<Option<Exit>>,
}

impl Guard {
    /// Starts the guard as `exe __guard` and waits until it is ready.
    pub async fn start(exe: &Path) -> Result<Self, LabError> {
        let starting = |source| LabError::GuardStart { source };
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(starting)?;
        ours.set_nonblocking(true).map_err(starting)?;
        let stream = UnixStream::from_std(ours).map_err(starting)?;
        // It may outlive this process, so it is not waited for; its last report is `Cleared`.
        let process = tokio::process::Command::new(exe)
            .arg("__guard")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(starting)?;
        let (reports, requests) = stream.into_split();
        let mut reports = BufReader::new(reports).lines();
        let first = tokio::time::timeout(START_LIMIT, next(&mut reports)).await;
        let pid = process.id();
        let directory = match first {
            Ok(Some(Report::Ready { directory })) => directory,
            Ok(Some(Report::Unable { why })) => return Err(LabError::GuardUnable { why }),
            _ => return Err(LabError::GuardLost),
        };
        info!(pid, directory = %directory.display(), "guard started");
        let state = Arc::default();
        let ended = CancellationToken::new();
        tokio::spawn(listen(reports, Arc::clone(&state), ended.clone()));
        Ok(Self {
            requests: Arc::new(tokio::sync::Mutex::new(Some(requests))),
            state,
            ended,
            exe: exe.to_owned(),
            directory,
            next_child: AtomicU64::new(0),
        })
    }

    /// The run's own directory; gone when the guard has cleared away.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Starts a child.
    ///
    /// That the program exists is not known yet: if it does not, the child ends with exit code 127
    /// and says so on its error output.
    pub async fn launch(&self, launch: Launch) -> Result<Child, LabError> {
        let number = self.next_child.fetch_add(1, Ordering::Relaxed);
        let program = launch.program.display().to_string();
        let (reply, started) = oneshot::channel();
        let (ended, exit) = watch::channel(None);
        {
            let mut state = lock(&self.state);
            state.starting.insert(number, reply);
            let kind = launch.kind;
            let running = Running {
                kind,
                pid: None,
                ended,
            };
            state.running.insert(number, running);
        }
        let request = Request::Start {
            child: number,
            launch,
        };
        send(&self.requests, &request).await?;
        let pid = tokio::select! {
            started = started => started.map_err(|_| LabError::GuardLost)?,
            () = self.ended.cancelled() => return Err(LabError::GuardLost),
        };
        let pid = pid.map_err(|why| LabError::NotStarted {
            program: program.clone(),
            why,
        })?;
        debug!(pid, program, "process started");
        Ok(Child {
            number,
            pid,
            requests: Arc::clone(&self.requests),
            exit,
        })
    }

    /// Lets the guard start `launch` when the run is gone, unless the promise is forgotten before.
    pub async fn promise(&self, launch: Launch) -> Result<Promise, LabError> {
        let undo = self.next_child.fetch_add(1, Ordering::Relaxed);
        lock(&self.state).promises.insert(undo, launch.clone());
        send(&self.requests, &Request::Promise { undo, launch }).await?;
        Ok(Promise(undo))
    }

    /// Takes a promise back: what it was to undo is undone.
    pub async fn forget(&self, promise: Promise) -> Result<(), LabError> {
        lock(&self.state).promises.remove(&promise.0);
        send(&self.requests, &Request::Forget { undo: promise.0 }).await
    }

    /// Waits until the guard process is gone. Cancel safe.
    pub fn ended(&self) -> impl Future<Output = ()> + use<> {
        self.ended.clone().cancelled_owned()
    }

    /// Lets the guard clear everything away, and makes sure that it did. If the guard was lost, a
    /// successor does its work, and the loss is the answer.
    ///
    /// It may be called again; the answer stays the same.
    pub async fn finish(&self) -> Result<(), LabError> {
        // Dropping this half of the stream ends it.
        drop(self.requests.lock().await.take());
        let cleared = tokio::time::timeout(CLEAR_LIMIT, self.ended()).await;
        let left = lock(&self.state).left.clone();
        match (cleared, left) {
            (Ok(()), Some(left)) if left.is_empty() => {
                info!("guard cleared everything away");
                Ok(())
            }
            (Ok(()), Some(left)) => Err(LabError::Left { left }),
            _ => {
                warn!("guard lost; a successor clears away");
                self.succeed().await?;
                Err(LabError::GuardLost)
            }
        }
    }

    /// Starts a guard that cleans up what this one left, as after a crash of the machine, and keeps
    /// its promises.
    async fn succeed(&self) -> Result<(), LabError> {
        let successor = Self::start(&self.exe).await?;
        let promises = std::mem::take(&mut lock(&self.state).promises);
        for launch in promises.into_values() {
            successor.promise(launch).await?;
        }
        Box::pin(successor.finish()).await
    }
}

impl Child {
    /// Its process id, which is also that of its process group.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until it ended. Cancel safe.
    pub async fn ended(&self) -> Result<Exit, LabError> {
        let mut exit = self.exit.clone();
        let exit = exit.wait_for(Option::is_some).await;
        exit.ok()
            .and_then(|exit| exit.clone())
            .ok_or(LabError::GuardLost)
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<Exit> {
        self.exit.borrow().clone()
    }

    /// Asks it to end; does not wait.
    pub async fn terminate(&self) -> Result<(), LabError> {
        let child = self.number;
        send(&self.requests, &Request::Terminate { child }).await
    }

    /// Ends it; does not wait.
    pub async fn kill(&self) -> Result<(), LabError> {
        let child = self.number;
        send(&self.requests, &Request::Kill { child }).await
    }

    /// Sends a postmaster the signal for a fast shutdown; does not wait.
    pub async fn interrupt(&self) -> Result<(), LabError> {
        let child = self.number;
        send(&self.requests, &Request::Interrupt { child }).await
    }

    /// Stops it where it is. The guard continues it when it ends it.
    pub async fn pause(&self) -> Result<(), LabError> {
        let child = self.number;
        send(&self.requests, &Request::Pause { child }).await
    }

    /// Continues it.
    pub async fn resume(&self) -> Result<(), LabError> {
        let child = self.number;
        send(&self.requests, &Request::Resume { child }).await
    }

    /// Asks it to end, and ends it after `grace`.
    pub async fn stop(&self, grace: Duration) -> Result<Exit, LabError> {
        self.terminate().await?;
        if let Ok(exit) = tokio::time::timeout(grace, self.ended()).await {
            return exit;
        }
        self.kill().await?;
        self.ended().await
    }
}

/// Dispatches reports until the guard is gone.
async fn listen(
    mut reports: Lines<BufReader<OwnedReadHalf>>,
    state: Arc<Mutex<State>>,
    ended: CancellationToken,
) {
    let _ended = ended.drop_guard();
    while let Some(report) = next(&mut reports).await {
        let mut state = lock(&state);
        match report {
            Report::Started { child, pid } => state.started(child, Ok(pid)),
            Report::NotStarted { child, why } => state.started(child, Err(why)),
            Report::Ended { child, exit } => {
                if let Some(running) = state.running.remove(&child) {
                    debug!(pid = running.pid, %exit, "process ended");
                    running.ended.send_replace(Some(exit));
                }
            }
            Report::Cleared { left } => state.left = Some(left),
            Report::Ready { .. } | Report::Unable { .. } => {}
        }
    }
    lock(&state).guard_is_gone();
}

impl State {
    fn started(&mut self, child: u64, outcome: Result<u32, String>) {
        match (&outcome, self.running.get_mut(&child)) {
            (Ok(pid), Some(running)) => running.pid = Some(*pid),
            _ => drop(self.running.remove(&child)),
        }
        if let Some(waiting) = self.starting.remove(&child) {
            // The caller may have stopped waiting.
            waiting.send(outcome).ok();
        }
    }

    /// Children end with their guard; this kills the rest of their process groups.
    fn guard_is_gone(&mut self) {
        // Dropping the sender fails every wait for an exit.
        for (_, running) in self.running.drain() {
            if let (Kind::Program, Some(pid)) = (running.kind, running.pid) {
                kill_group(pid);
            }
        }
    }
}

async fn next(reports: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Report> {
    let line = reports.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

async fn send(requests: &Requests, request: &Request) -> Result<(), LabError> {
    let mut line = serde_json::to_vec(request).map_err(|source| LabError::GuardStart {
        source: source.into(),
    })?;
    line.push(b'\n');
    let mut stream = requests.lock().await;
    let stream = stream.as_mut().ok_or(LabError::GuardLost)?;
    stream
        .write_all(&line)
        .await
        .map_err(|_| LabError::GuardLost)
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
