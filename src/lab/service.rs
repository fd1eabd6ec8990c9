//! Servers under test: started or attached to, listened to, and stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::LabError;
use super::guard::{Child, Guard, Kind, Launch};
use super::log::{LogBook, Use};
use super::ready::Readiness;
use super::spec::{LogSource, ServiceSpec};
use crate::event::{Fact, LogStream, Name, Recorder, ServiceChange};
use crate::sys;
use crate::template::Template;

/// How long a service may take to end when it is asked to.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// How long to wait for the last words of one that ended; a descendant may hold its output open.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// A service of this run.
#[derive(Debug)]
pub(super) struct Service {
    name: Name,
    readiness: Readiness,
    ready_timeout: std::time::Duration,
    recorder: Recorder,
    book: Arc<LogBook>,
    /// `None` if it was running already.
    child: Option<Child>,
    /// Read what it says; they end with this.
    readers: tokio::sync::Mutex<JoinSet<()>>,
}

/// A command with every placeholder filled in.
#[derive(Debug)]
struct Command {
    program: PathBuf,
    args: Vec<String>,
    env: BTreeMap<String, String>,
}

/// What a service needs of its run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Surroundings<'a> {
    pub(super) guard: &'a Guard,
    pub(super) recorder: &'a Recorder,
    /// The running executable.
    pub(super) exe: &'a Path,
    /// Where logs are kept for people.
    pub(super) logs: &'a Path,
}

impl Service {
    /// Starts or attaches to the service at `url`, and begins to read its log.
    pub(super) async fn start(
        around: Surroundings<'_>,
        spec: &ServiceSpec,
        url: &str,
        lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<Self, LabError> {
        let readiness =
            Readiness::new(url, spec.ready.as_deref()).map_err(|why| LabError::ServiceUrl {
                service: Name::clone(&spec.name),
                url: url.to_owned(),
                why,
            })?;
        let command = Command::render(spec, around.exe, lookup)?;
        let file = around.logs.join(format!("{}.log", spec.name));
        let book = LogBook::create(&spec.name, around.recorder.clone(), &file)
            .map_err(LabError::io(format!("make {}", file.display())))?;
        let book = Arc::new(book);
        let mut readers = JoinSet::new();
        if let LogSource::File(path) = &spec.log {
            let (book, path) = (Arc::clone(&book), path.clone());
            readers.spawn(async move { book.follow(path).await });
        }
        let child = match command {
            Some(command) => Some(launch(around, spec, command, &book, &mut readers).await?),
            None => None,
        };
        Ok(Self {
            name: Name::clone(&spec.name),
            readiness,
            ready_timeout: spec.ready_timeout,
            recorder: around.recorder.clone(),
            book,
            child,
            readers: tokio::sync::Mutex::new(readers),
        })
    }

    /// Waits until it answers.
    pub(super) async fn ready(&self) -> Result<(), LabError> {
        let mut why = "it was never asked".to_owned();
        tokio::select! {
            () = self.readiness.wait(&mut why) => {}
            exit = ended(self.child.as_ref()) => {
                self.last_words().await;
                return Err(LabError::ServiceExited {
                    service: Name::clone(&self.name),
                    exit: exit?,
                    log: self.book.tail(),
                });
            }
            () = tokio::time::sleep(self.ready_timeout) => {
                return Err(LabError::ServiceNotReady {
                    service: Name::clone(&self.name),
                    waited: self.ready_timeout,
                    why,
                    log: self.book.tail(),
                });
            }
        }
        self.recorder.record(Fact::Service {
            service: Name::clone(&self.name),
            change: ServiceChange::Ready,
        });
        Ok(())
    }

    /// Stops it if it was started here, and waits until its log is read.
    pub(super) async fn stop(&self) -> Result<(), LabError> {
        if let Some(child) = &self.child {
            child.stop(STOP_GRACE).await?;
            self.last_words().await;
        }
        self.readers.lock().await.shutdown().await;
        Ok(())
    }

    async fn last_words(&self) {
        let mut readers = self.readers.lock().await;
        let all = async { while readers.join_next().await.is_some() {} };
        tokio::time::timeout(LAST_WORDS, all).await.ok();
    }
}

impl Command {
    fn render(
        spec: &ServiceSpec,
        exe: &Path,
        mut lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<Option<Self>, LabError> {
        let mut render = |template: &Template| {
            template
                .render(&mut lookup)
                .map_err(|source| LabError::Template {
                    service: Name::clone(&spec.name),
                    template: template.as_str().to_owned(),
                    source,
                })
        };
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
        Ok(Some(Self { program, args, env }))
    }
}

/// Starts the command with both outputs in our hands, whatever the scenario wants of them: an
/// output that nobody reads would make the service wait.
async fn launch(
    around: Surroundings<'_>,
    spec: &ServiceSpec,
    command: Command,
    book: &Arc<LogBook>,
    readers: &mut JoinSet<()>,
) -> Result<Child, LabError> {
    let directory = around.guard.directory();
    let [stdout, stderr] =
        ["stdout", "stderr"].map(|stream| directory.join(format!("{}.{stream}", spec.name)));
    let piping = || LabError::io(format!("make a pipe for the log of `{}`", spec.name));
    let output = sys::fifo::create(&stdout).map_err(piping())?;
    let errors = sys::fifo::create(&stderr).map_err(piping())?;
    let launch = Launch {
        program: command.program,
        args: command.args,
        env: command.env,
        directory: spec.working_directory.clone(),
        stdout,
        stderr,
        account: None,
        kind: Kind::Program,
    };
    let child = around.guard.launch(launch).await?;
    let told = |change| Fact::Service {
        service: Name::clone(&spec.name),
        change,
    };
    (around.recorder).record(told(ServiceChange::Started(child.pid())));
    let (stdout_use, stderr_use) = match spec.log {
        LogSource::Stdout => (Use::Record, Use::Keep),
        LogSource::Stderr => (Use::Keep, Use::Record),
        LogSource::Both => (Use::Record, Use::Record),
        LogSource::File(_) | LogSource::None => (Use::Keep, Use::Keep),
    };
    let (first, second) = (Arc::clone(book), Arc::clone(book));
    readers.spawn(async move { first.read(output, LogStream::Stdout, stdout_use).await });
    readers.spawn(async move { second.read(errors, LogStream::Stderr, stderr_use).await });
    tokio::spawn(report_exit(
        child.clone(),
        Name::clone(&spec.name),
        around.recorder.clone(),
    ));
    Ok(child)
}

async fn report_exit(child: Child, service: Name, recorder: Recorder) {
    if let Ok(exit) = child.ended().await {
        let change = ServiceChange::Exited(exit.to_string());
        recorder.record(Fact::Service { service, change });
    }
}

/// The exit of a child; one that we did not start never ends for us.
async fn ended(child: Option<&Child>) -> Result<super::guard::Exit, LabError> {
    match child {
        Some(child) => child.ended().await,
        None => std::future::pending().await,
    }
}
