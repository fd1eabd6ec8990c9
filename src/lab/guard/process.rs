//! The guard process: starts what a run needs, and cleans up when the run ends, however it ends.
//!
//! It must run on one thread that lives as long as the process: the parent-death signal of its
//! children fires when the *thread* that started them ends.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::{Pid, getpid, getppid};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{sleep, timeout};

use super::directory::{MARK, RunDirectory, sweep};
use super::message::{Exit, Kind, Launch, Report, Request};
use crate::sys::{self, process};

/// How long programs may take to end by themselves once the run is gone.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait for killed programs, and for postmasters.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long undo commands of a run that is gone may take.
const UNDO_LIMIT: Duration = Duration::from_secs(10);
/// How often the process table is read while waiting.
const POLL: Duration = Duration::from_millis(20);

/// Serves the run at the other end of `stream` until that end is closed, then clears away.
pub async fn serve(stream: std::os::unix::net::UnixStream, temp: &Path) -> io::Result<()> {
    stream.set_nonblocking(true)?;
    let (requests, mut reports) = UnixStream::from_std(stream)?.into_split();
    let (directory, mut ended) = match prepare(temp).await {
        Ok(ready) => ready,
        Err(error) => {
            let why = error.to_string();
            return send(&mut reports, &Report::Unable { why }).await;
        }
    };
    let mut children = Children::of(&directory);
    let ready = Report::Ready {
        directory: directory.path().to_owned(),
    };
    // A report that cannot be delivered means that the run is gone; its end of the stream says so.
    send(&mut reports, &ready).await.ok();
    let mut requests = BufReader::new(requests).lines();
    loop {
        tokio::select! {
            line = requests.next_line() => {
                let Ok(Some(line)) = line else { break };
                let request = serde_json::from_str(&line)?;
                if let Some(report) = children.handle(request) {
                    send(&mut reports, &report).await.ok();
                }
            }
            _ = ended.recv() => {
                for report in children.reap() {
                    send(&mut reports, &report).await.ok();
                }
            }
        }
    }
    let mut left = children.clear().await;
    if left.is_empty()
        && let Err(error) = directory.remove(children.ended)
    {
        left.push(error.to_string());
    }
    send(&mut reports, &Report::Cleared { left }).await.ok();
    Ok(())
}

async fn prepare(temp: &Path) -> io::Result<(RunDirectory, tokio::signal::unix::Signal)> {
    process::detach_and_adopt()?;
    for kind in [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ] {
        // Handled and never looked at is ignored, and is not inherited as an ignored signal is.
        drop(signal(kind)?);
    }
    let ended = signal(SignalKind::child())?;
    sweep(temp).await;
    let run = u32::try_from(getppid().as_raw()).unwrap_or_default();
    let directory = RunDirectory::create(temp, run).map_err(|error| {
        let temp = temp.display();
        let why = format!("make a folder in {temp}: {error}; `TMPDIR` names another place");
        io::Error::new(error.kind(), why)
    })?;
    Ok((directory, ended))
}

async fn send(reports: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    reports.write_all(&line).await
}

/// The guard's own children that run. Their descendants are found in the process table.
#[derive(Debug)]
struct Children {
    /// Of the run; every child carries its name.
    directory: PathBuf,
    running: Vec<Child>,
    /// What is to be started when the run is gone.
    promises: BTreeMap<u64, Launch>,
    /// Processes seen during the clean-up.
    ended: BTreeSet<Pid>,
}

#[derive(Debug, Clone, Copy)]
struct Child {
    number: u64,
    pid: Pid,
    kind: Kind,
}

impl Children {
    fn of(directory: &RunDirectory) -> Self {
        Self {
            directory: directory.path().to_owned(),
            running: Vec::new(),
            promises: BTreeMap::new(),
            ended: BTreeSet::new(),
        }
    }

    fn handle(&mut self, request: Request) -> Option<Report> {
        match request {
            Request::Start { child, launch } => return Some(self.start(child, &launch)),
            Request::Terminate { child } => self.end(child, Signal::SIGTERM),
            Request::Kill { child } => self.end(child, Signal::SIGKILL),
            Request::Interrupt { child } => self.signal(child, Signal::SIGINT),
            Request::Pause { child } => self.signal(child, Signal::SIGSTOP),
            Request::Resume { child } => self.signal(child, Signal::SIGCONT),
            Request::Promise { undo, launch } => drop(self.promises.insert(undo, launch)),
            Request::Forget { undo } => drop(self.promises.remove(&undo)),
        }
        None
    }

    fn start(&mut self, number: u64, launch: &Launch) -> Report {
        match start(launch, &self.directory) {
            Ok(pid) => {
                self.running.push(Child {
                    number,
                    pid: Pid::from_raw(pid.cast_signed()),
                    kind: launch.kind,
                });
                Report::Started { child: number, pid }
            }
            Err(error) => Report::NotStarted {
                child: number,
                why: error.to_string(),
            },
        }
    }

    fn end(&self, number: u64, signal: Signal) {
        // One that ended in the meantime is not there any more, and that is fine.
        let Some(child) = self.running.iter().find(|child| child.number == number) else {
            return;
        };
        match child.kind {
            Kind::Program => {
                process::send_group(child.pid, signal);
                process::send_group(child.pid, Signal::SIGCONT);
            }
            Kind::Initdb => process::kill_alone(child.pid),
            Kind::Postmaster => process::quit_postmaster(child.pid),
        }
    }

    /// Sends `signal` to a program's process group, or to a program of PostgreSQL alone.
    fn signal(&self, number: u64, signal: Signal) {
        match self.running.iter().find(|child| child.number == number) {
            Some(child) if child.kind == Kind::Program => process::send_group(child.pid, signal),
            Some(child) => process::send(child.pid, signal),
            // One that ended in the meantime is not there any more, and that is fine.
            None => {}
        }
    }

    /// Collects everything that ended, adopted descendants included; reports our own.
    fn reap(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(status) = process::reap() {
            let exit = match status {
                WaitStatus::Exited(_, code) => Exit::Code(code),
                WaitStatus::Signaled(_, signal, _) => Exit::Signal(signal.as_str().to_owned()),
                _ => continue,
            };
            let index = (self.running.iter()).position(|child| Some(child.pid) == status.pid());
            if let Some(index) = index {
                let child = self.running.remove(index).number;
                reports.push(Report::Ended { child, exit });
            }
        }
        reports
    }

    /// Runs the promised undo commands, then ends every descendant; names what is left.
    ///
    /// Programs go before postmasters: they may have something to write before they end.
    async fn clear(&mut self) -> Vec<String> {
        let mut left = self.keep_promises().await;
        let postgres = [Kind::Postmaster, Kind::Initdb].map(|kind| self.all_of(kind));
        self.descendants();
        for pid in process::descendants(getpid(), &postgres.concat()) {
            process::send(pid, Signal::SIGTERM);
            process::send(pid, Signal::SIGCONT);
        }
        for pid in self.all_of(Kind::Initdb) {
            process::kill_alone(pid);
        }
        if timeout(GRACE, self.no_program(None)).await.is_err() {
            timeout(KILL_LIMIT, self.no_program(Some(Signal::SIGKILL)))
                .await
                .ok();
        }
        for pid in self.all_of(Kind::Postmaster) {
            process::quit_postmaster(pid);
        }
        timeout(KILL_LIMIT, self.nothing()).await.ok();
        let descendants = process::descendants(getpid(), &[]);
        left.extend(descendants.into_iter().map(process::describe));
        left
    }

    /// Runs every promised undo command; names those that failed.
    async fn keep_promises(&mut self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut waiting = BTreeMap::new();
        for (number, launch) in std::mem::take(&mut self.promises) {
            let program = launch.program.display().to_string();
            match self.start(number, &launch) {
                Report::NotStarted { why, .. } => broken.push(format!("undo `{program}`: {why}")),
                _ => drop(waiting.insert(number, program)),
            }
        }
        let kept = async {
            while !waiting.is_empty() {
                for report in self.reap() {
                    if let Report::Ended { child, exit } = report
                        && let Some(program) = waiting.remove(&child)
                        && !exit.is_success()
                    {
                        broken.push(format!("undo `{program}`: {exit}"));
                    }
                }
                sleep(POLL).await;
            }
        };
        timeout(UNDO_LIMIT, kept).await.ok();
        let late = waiting.into_values();
        broken.extend(late.map(|program| format!("undo `{program}`: not done in time")));
        broken
    }

    /// Waits until no program is left; sends `signal` to each at every poll.
    async fn no_program(&mut self, signal: Option<Signal>) {
        loop {
            self.reap();
            let programs = self.programs();
            if programs.is_empty() {
                return;
            }
            if let Some(signal) = signal {
                for pid in programs {
                    process::send(pid, signal);
                }
            }
            sleep(POLL).await;
        }
    }

    async fn nothing(&mut self) {
        loop {
            self.reap();
            if self.descendants().is_empty() {
                return;
            }
            sleep(POLL).await;
        }
    }

    fn programs(&mut self) -> Vec<Pid> {
        let programs = process::descendants(getpid(), &self.all_of(Kind::Postmaster));
        self.ended.extend(&programs);
        programs
    }

    /// Every descendant.
    fn descendants(&mut self) -> Vec<Pid> {
        let all = process::descendants(getpid(), &[]);
        self.ended.extend(&all);
        all
    }

    fn all_of(&self, kind: Kind) -> Vec<Pid> {
        (self.running.iter())
            .filter(|child| child.kind == kind)
            .map(|child| child.pid)
            .collect()
    }
}

/// Starts `launch` through the shim, as the leader of a process group, with the mark of its run.
fn start(launch: &Launch, directory: &Path) -> io::Result<u32> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(super::shim::arguments(launch, getpid()))
        .envs(&launch.env)
        .env(MARK, directory)
        .stdin(Stdio::null())
        .stdout(sys::fifo::append(&launch.stdout)?)
        .stderr(sys::fifo::append(&launch.stderr)?)
        .process_group(0);
    if let Some(directory) = &launch.directory {
        if !directory.is_dir() {
            let why = format!("its working directory {} is not there", directory.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, why));
        }
        command.current_dir(directory);
    }
    // It is reaped with all others.
    command.spawn().map(|child| child.id())
}
