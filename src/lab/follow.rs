//! Logs that a program of their own follows: any command, or `journalctl` for the journal of
//! systemd.

use std::path::Path;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::LabError;
use super::form::Form;
use super::guard::{Child, Guard, Kind, Launch};
use super::log::{LogBook, Use};
use super::spec::LogSource;
use crate::event::{Fact, LogStream, Name, Recorder};
use crate::sys;
use crate::template::Template;

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

    /// Starts the program, with readers of what it says. One that ends before the run is reported.
    pub(super) async fn start(
        &self,
        guard: &Guard,
        book: &Arc<LogBook>,
        recorder: &Recorder,
        readers: &mut JoinSet<()>,
    ) -> Result<Child, LabError> {
        let launch = self.launch(guard.directory())?;
        let piping = || LabError::io(format!("make a pipe for the log of `{}`", self.service));
        let output = sys::fifo::create(&launch.stdout).map_err(piping())?;
        let errors = sys::fifo::create(&launch.stderr).map_err(piping())?;
        let child = guard.launch(launch).await?;
        let (stream, form) = (self.stream, self.form.clone());
        // What `journalctl` itself complains about was not logged by the service.
        let complaints = match form {
            Form::Lines => Use::Record,
            Form::Entries(_) => Use::Keep,
        };
        let (first, second) = (Arc::clone(book), Arc::clone(book));
        readers.spawn(async move { first.read(output, stream, Use::Record, &form).await });
        readers.spawn(async move { second.read(errors, stream, complaints, &Form::Lines).await });
        readers.spawn(self.report_end(child.clone(), recorder.clone()));
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

    fn report_end(&self, child: Child, recorder: Recorder) -> impl Future<Output = ()> + use<> {
        let (service, command) = (Name::clone(&self.service), self.words.join(" "));
        async move {
            if let Ok(exit) = child.ended().await {
                let message =
                    format!("the log of `{service}` ends here: `{command}` ended with {exit}");
                recorder.record(Fact::Trouble { message });
            }
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
