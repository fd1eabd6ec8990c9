//! Logs that a program of their own follows: any command, or `journalctl` for the journal of
//! systemd.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::LabError;
use super::form::Form;
use super::guard::{Child, Guard, Kind, Launch};
use super::log::{ServiceLog, Use};
use super::spec::LogSource;
use crate::event::{LogStream, Name};
use crate::sys;
use crate::template::Template;

/// How long after its output is closed a program may take to end.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Follows the log of one service.
#[derive(Debug)]
pub(super) struct Follower {
    service: Name,
    words: Vec<String>,
    stream: LogStream,
    form: Form,
}

impl Follower {
    /// What follows the log of `service`; `None` for sources that need no program.
    pub(super) fn new(
        service: &Name,
        source: &LogSource,
        render: impl FnMut(&Template) -> Result<String, LabError>,
    ) -> Result<Option<Self>, LabError> {
        let (words, stream, form) = match source {
            LogSource::Command(words) => {
                let words = words.iter().map(render).collect::<Result<_, _>>()?;
                (words, LogStream::Command, Form::Lines)
            }
            LogSource::Journald(journal) => {
                let unit = format!("--unit={}", journal.unit);
                let words = [
                    "journalctl",
                    "--follow",
                    "--lines=0",
                    "--output=json",
                    &unit,
                ];
                let form = Form::Entries(journal.field.clone());
                (words.map(str::to_owned).into(), LogStream::Journal, form)
            }
            LogSource::Stdout
            | LogSource::Stderr
            | LogSource::Both
            | LogSource::File(_)
            | LogSource::None => return Ok(None),
        };
        Ok(Some(Self {
            service: Name::clone(service),
            words,
            stream,
            form,
        }))
    }

    /// Starts the program and reads its output. If it ends before the run, that is reported.
    pub(super) async fn start(
        &self,
        guard: &Guard,
        log: &Arc<ServiceLog>,
        readers: &mut JoinSet<()>,
    ) -> Result<Child, LabError> {
        let launch = self.launch(guard.directory())?;
        let piping = || LabError::io(format!("make a pipe for the log of `{}`", self.service));
        let output = sys::fifo::create(&launch.stdout).map_err(piping())?;
        let errors = sys::fifo::create(&launch.stderr).map_err(piping())?;
        let child = guard.launch(launch).await?;
        let (stream, form) = (self.stream, self.form.clone());
        let (first, second) = (Arc::clone(log), Arc::clone(log));
        let silent = CancellationToken::new();
        let closed = silent.clone().drop_guard();
        readers.spawn(async move {
            let _closed = closed;
            first.read(output, stream, Use::Record, &form).await;
        });
        // The program's own errors are not the service's log.
        readers.spawn(async move { second.read(errors, stream, Use::Keep, &Form::Lines).await });
        readers.spawn(self.report_end(child.clone(), silent, Arc::clone(log)));
        Ok(child)
    }

    fn launch(&self, directory: &Path) -> Result<Launch, LabError> {
        let (program, args) = self.words.split_first().ok_or_else(|| self.missing(""))?;
        if !is_there(program) {
            return Err(self.missing(program));
        }
        let pipe = |stream| directory.join(format!("{}.log.{stream}", self.service));
        Ok(Launch {
            program: program.into(),
            args: args.to_vec(),
            env: [].into(),
            directory: None,
            stdout: pipe("stdout"),
            stderr: pipe("stderr"),
            account: None,
            kind: Kind::Program,
        })
    }

    fn missing(&self, program: &str) -> LabError {
        LabError::NoFollower {
            service: Name::clone(&self.service),
            program: program.to_owned(),
            advice: match self.form {
                Form::Lines => "install it, or name another source of the log",
                Form::Entries(_) => {
                    "it comes with systemd; without it read the log from `{ file = \"PATH\" }` or \
                     `{ command = [\"PROGRAM\"] }`"
                }
            },
        }
    }

    /// Once the program has ended or closed its output, records that the log is not read any more.
    fn report_end(
        &self,
        child: Child,
        silent: CancellationToken,
        log: Arc<ServiceLog>,
    ) -> impl Future<Output = ()> + use<> {
        let command = self.words.join(" ");
        async move {
            tokio::select! {
                _ = child.ended() => {}
                () = silent.cancelled() => {}
            }
            let from = log.now();
            // Mostly its output is closed because it has ended.
            let why = match tokio::time::timeout(DRAIN_LIMIT, child.ended()).await {
                Ok(Ok(exit)) => format!("`{command}` ended with {exit}"),
                // The guard is gone, and the run with it.
                Ok(Err(_)) => return,
                Err(_) => format!("`{command}` closed its output"),
            };
            log.gap(from, None, why);
        }
    }
}

/// Whether a program can be found, as a shell would.
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    !program.is_empty() && std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
