//! Servers under test: started or attached to, listened to, stopped, started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tracing::info;

use super::LabError;
use super::follow::Follower;
use super::form::Form;
use super::guard::{Child, Guard, Kind, Launch};
use super::knock::Ports;
use super::log::{ServiceLog, Use};
use super::ready::Readiness;
use super::spec::{LogSource, ServiceSpec};
use crate::event::{Fact, LogStream, Name, Recorder, ServiceChange};
use crate::sys;
use crate::template::Template;

/// How long a service may take to end when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long to read the output of one that ended; a descendant may hold it open.
const DRAIN_LIMIT: Duration = Duration::from_millis(500);

/// A service of this run.
#[derive(Debug)]
pub(super) struct Service {
    name: Name,
    readiness: Readiness,
    ready_timeout: Duration,
    log: LogSource,
    recorder: Recorder,
    lines: Arc<ServiceLog>,
    /// What its log is read from, if that is a program of its own, and that program once it runs.
    follower: Option<Follower>,
    following: tokio::sync::OnceCell<Child>,
    /// What is started, each time anew; `None` if it was running already.
    command: Option<Command>,
    process: Mutex<Process>,
    /// Tasks that read its log; they end with this.
    readers: tokio::sync::Mutex<JoinSet<()>>,
}

/// The process of a service. A service may have several, one after the other.
#[derive(Debug, Default)]
struct Process {
    starts: u32,
    /// The latest.
    child: Option<Child>,
}

/// A command with every placeholder filled in.
#[derive(Debug)]
struct Command {
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    directory: Option<PathBuf>,
}

/// What a service shares with its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) recorder: &'a Recorder,
    /// The running executable.
    pub(super) exe: &'a Path,
    /// Where logs are kept for people.
    pub(super) logs: &'a Path,
    /// The ports that faults hold.
    pub(super) ports: &'a Ports,
}

impl Service {
    /// The service at `url`. What has a command is not started yet.
    pub(super) fn declare(
        context: Context<'_>,
        spec: &ServiceSpec,
        url: &str,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, LabError> {
        let unusable = |why| LabError::ServiceUrl {
            service: Name::clone(&spec.name),
            url: url.to_owned(),
            why,
        };
        let readiness =
            Readiness::new(url, spec.ready.as_deref(), context.ports.clone()).map_err(unusable)?;
        let mut render = |template: &Template| {
            template
                .render(&mut lookup)
                .map_err(|source| LabError::Template {
                    service: Name::clone(&spec.name),
                    template: template.as_str().to_owned(),
                    source,
                })
        };
        let command = Command::render(spec, context.exe, &mut render)?;
        let follower = Follower::new(&spec.name, &spec.log, &mut render)?;
        let file = context.logs.join(format!("{}.log", spec.name));
        let lines = ServiceLog::create(&spec.name, context.recorder.clone(), &file)
            .map_err(LabError::io(format!("make {}", file.display())))?;
        let lines = Arc::new(lines);
        let mut readers = JoinSet::new();
        if let LogSource::File(path) = &spec.log {
            let (lines, path) = (Arc::clone(&lines), path.clone());
            readers.spawn(async move { lines.follow(path).await });
        }
        Ok(Self {
            name: Name::clone(&spec.name),
            readiness,
            ready_timeout: spec.ready_timeout,
            log: spec.log.clone(),
            recorder: context.recorder.clone(),
            lines,
            follower,
            following: tokio::sync::OnceCell::new(),
            command,
            process: Mutex::default(),
            readers: tokio::sync::Mutex::new(readers),
        })
    }

    /// Starts its process, if it has a command; the one before must have ended. Its log goes on
    /// where it was.
    pub(super) async fn start(&self, guard: &Guard) -> Result<(), LabError> {
        self.follow_log(guard).await?;
        let Some(command) = &self.command else {
            return Ok(());
        };
        let number = self.process().starts;
        self.process().starts += 1;
        let pipe = |stream| (guard.directory()).join(format!("{}.{number}.{stream}", self.name));
        let launch = command.launch(pipe("stdout"), pipe("stderr"));
        let child = self.launch(guard, launch).await?;
        tokio::spawn(report_exit(
            child.clone(),
            Name::clone(&self.name),
            self.recorder.clone(),
        ));
        self.process().child = Some(child);
        Ok(())
    }

    /// Starts the program that its log is read from, unless it was started before.
    async fn follow_log(&self, guard: &Guard) -> Result<(), LabError> {
        let Some(follower) = &self.follower else {
            return Ok(());
        };
        let start = || async {
            let mut readers = self.readers.lock().await;
            follower.start(guard, &self.lines, &mut readers).await
        };
        self.following.get_or_try_init(start).await.map(drop)
    }

    /// Starts the command and reads both outputs, whatever the scenario wants of them: an output that
    /// is not read would block the service.
    async fn launch(&self, guard: &Guard, launch: Launch) -> Result<Child, LabError> {
        let piping = || LabError::io(format!("make a pipe for the log of `{}`", self.name));
        let output = sys::fifo::create(&launch.stdout).map_err(piping())?;
        let errors = sys::fifo::create(&launch.stderr).map_err(piping())?;
        let child = guard.launch(launch).await?;
        info!(service = %self.name, pid = child.pid(), "service started");
        self.recorder.record(Fact::Service {
            service: Name::clone(&self.name),
            change: ServiceChange::Started(child.pid()),
        });
        let (stdout_use, stderr_use) = match self.log {
            LogSource::Stdout => (Use::Record, Use::Keep),
            LogSource::Stderr => (Use::Keep, Use::Record),
            LogSource::Both => (Use::Record, Use::Record),
            LogSource::File(_)
            | LogSource::Command(_)
            | LogSource::Journald(_)
            | LogSource::None => (Use::Keep, Use::Keep),
        };
        let (first, second) = (Arc::clone(&self.lines), Arc::clone(&self.lines));
        let mut readers = self.readers.lock().await;
        let form = &Form::Lines;
        readers.spawn(async move {
            first
                .read(output, LogStream::Stdout, stdout_use, form)
                .await;
        });
        readers.spawn(async move {
            second
                .read(errors, LogStream::Stderr, stderr_use, form)
                .await;
        });
        Ok(child)
    }

    /// Its present process, if one was started here and has not ended.
    pub(super) fn running(&self) -> Option<Child> {
        let child = self.process().child.clone();
        child.filter(|child| child.exit().is_none())
    }

    /// Makes sure that its process has ended, by force if it must be, and starts it again.
    pub(super) async fn start_again(&self, guard: &Guard) -> Result<(), LabError> {
        if let Some(child) = self.running() {
            child.stop(STOP_GRACE).await?;
        }
        self.start(guard).await
    }

    /// Host and port that it is to listen at.
    pub(super) fn address(&self) -> (&str, u16) {
        self.readiness.address()
    }

    /// Waits until it answers, for as long as it takes. Cancel safe.
    pub(super) async fn answers(&self) {
        self.readiness.wait(&mut String::new()).await;
    }

    /// Whether its readiness needs more than a connection.
    pub(super) const fn is_asked(&self) -> bool {
        self.readiness.is_asked()
    }

    /// Whether its log is read. The outputs of a service that runs already cannot be read.
    const fn is_read(&self) -> bool {
        match self.log {
            LogSource::Stdout | LogSource::Stderr | LogSource::Both => self.command.is_some(),
            LogSource::File(_) | LogSource::Command(_) | LogSource::Journald(_) => true,
            LogSource::None => false,
        }
    }

    /// Waits until it answers, and records that. One that ends before is an error.
    pub(super) async fn ready(&self) -> Result<(), LabError> {
        let mut why = "it was never asked".to_owned();
        let child = self.process().child.clone();
        if self.readiness.is_asked() {
            self.recorder.record(Fact::Service {
                service: Name::clone(&self.name),
                change: ServiceChange::Watched,
            });
        }
        tokio::select! {
            () = self.readiness.wait(&mut why) => {}
            exit = ended(child.as_ref()) => {
                self.drain_log().await;
                return Err(LabError::ServiceExited {
                    service: Name::clone(&self.name),
                    exit: exit?,
                    log: self.lines.tail(),
                });
            }
            () = tokio::time::sleep(self.ready_timeout) => {
                return Err(LabError::ServiceNotReady {
                    service: Name::clone(&self.name),
                    waited: self.ready_timeout,
                    why,
                    log: self.is_read().then(|| self.lines.tail()),
                });
            }
        }
        info!(service = %self.name, "service ready");
        self.recorder.record(Fact::Service {
            service: Name::clone(&self.name),
            change: ServiceChange::Ready,
        });
        Ok(())
    }

    /// Stops it if it was started here, and waits until its log is read.
    pub(super) async fn stop(&self) -> Result<(), LabError> {
        let child = self.process().child.clone();
        if let Some(child) = child {
            let exit = child.stop(STOP_GRACE).await?;
            info!(service = %self.name, pid = child.pid(), %exit, "service stopped");
            self.drain_log().await;
        }
        self.readers.lock().await.shutdown().await;
        if let Some(following) = self.following.get() {
            following.stop(STOP_GRACE).await?;
        }
        Ok(())
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn drain_log(&self) {
        let mut readers = self.readers.lock().await;
        let all = async { while readers.join_next().await.is_some() {} };
        tokio::time::timeout(DRAIN_LIMIT, all).await.ok();
    }
}

impl Command {
    fn render(
        spec: &ServiceSpec,
        exe: &Path,
        mut render: impl FnMut(&Template) -> Result<String, LabError>,
    ) -> Result<Option<Self>, LabError> {
        let Some((program, args)) = spec.command.as_ref().and_then(|words| words.split_first())
        else {
            return Ok(None);
        };
        let program = match render(program)? {
            own if own == "chaosproxy" => exe.to_owned(),
            other => other.into(),
        };
        let args = args.iter().map(&mut render).collect::<Result<_, _>>()?;
        let mut env = BTreeMap::new();
        for (name, value) in &spec.env {
            env.insert(name.clone(), render(value)?);
        }
        Ok(Some(Self {
            program,
            args,
            env,
            directory: spec.working_directory.clone(),
        }))
    }

    fn launch(&self, stdout: PathBuf, stderr: PathBuf) -> Launch {
        Launch {
            program: self.program.clone(),
            args: self.args.clone(),
            env: self.env.clone(),
            directory: self.directory.clone(),
            stdout,
            stderr,
            account: None,
            kind: Kind::Program,
        }
    }
}

async fn report_exit(child: Child, service: Name, recorder: Recorder) {
    if let Ok(exit) = child.ended().await {
        let change = ServiceChange::Exited(exit.to_string());
        recorder.record(Fact::Service { service, change });
    }
}

/// The exit of a child; never, for a service that runs already.
async fn ended(child: Option<&Child>) -> Result<super::guard::Exit, LabError> {
    match child {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}
