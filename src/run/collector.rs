use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::RunError;
use super::board::Board;
use super::halt::{Halt, Halted};
use crate::event::{Event, Fact, JournalError, JournalWriter, Secrets, Stream};
use crate::probe::log::LogProbe;

/// How long facts may gather before they are taken all at once: while they keep coming, whoever
/// records one wakes nobody.
const GATHER: Duration = Duration::from_millis(20);

/// The one reader of the stream: journals every event, shows it, keeps it.
///
/// An event is handed to the operating system within [`GATHER`] and the time that its batch takes;
/// a crash of this process loses no more than that.
pub(super) struct Collector {
    task: JoinHandle<Result<Vec<Event>, JournalError>>,
    finish: CancellationToken,
}

impl Collector {
    /// Starts to collect. A journal that cannot be written halts the run.
    pub(super) fn start(
        stream: Stream,
        (journal, secrets): (JournalWriter, Secrets),
        log_probes: Vec<LogProbe>,
        board: Board,
        halt: Halt,
        watch: impl FnMut(&[Event]) + Send + 'static,
    ) -> Self {
        let finish = CancellationToken::new();
        let until = finish.clone();
        let task = tokio::spawn(async move {
            let collected = Sink {
                journal,
                secrets,
                log_probes,
                board,
                watch,
                events: Vec::new(),
                shown: 0,
            }
            .collect(stream, until)
            .await;
            if collected.is_err() {
                halt.now(Halted::Unrecorded);
            }
            collected
        });
        Self { task, finish }
    }

    /// Collects what has been recorded so far, and ends.
    pub(super) async fn finish(self) -> Result<Vec<Event>, RunError> {
        self.finish.cancel();
        match self.task.await {
            Ok(collected) => Ok(collected?),
            Err(panic) => Err(RunError::Panicked(panic.to_string())),
        }
    }
}

/// Where every event goes.
struct Sink<W> {
    journal: JournalWriter,
    secrets: Secrets,
    log_probes: Vec<LogProbe>,
    board: Board,
    watch: W,
    events: Vec<Event>,
    /// How many of them were shown.
    shown: usize,
}

impl<W: FnMut(&[Event])> Sink<W> {
    async fn collect(
        mut self,
        mut stream: Stream,
        until: CancellationToken,
    ) -> Result<Vec<Event>, JournalError> {
        loop {
            tokio::select! {
                biased;
                () = until.cancelled() => break,
                event = stream.next() => match event {
                    Some(event) => self.take(event)?,
                    None => break,
                },
            }
            while self.take_all(&mut stream)? {
                tokio::select! {
                    () = sleep(GATHER) => {}
                    () = until.cancelled() => break,
                }
            }
        }
        self.take_all(&mut stream)?;
        self.journal.close()?;
        Ok(self.events)
    }

    /// Takes what is there, writes it through to the file and shows it: whether there was anything
    /// new.
    fn take_all(&mut self, stream: &mut Stream) -> Result<bool, JournalError> {
        while let Some(event) = stream.try_next() {
            self.take(event)?;
        }
        let new = &self.events[self.shown..];
        if new.is_empty() {
            return Ok(false);
        }
        self.journal.flush()?;
        (self.watch)(new);
        self.shown = self.events.len();
        Ok(true)
    }

    /// Takes an event, and what a log probe makes of it.
    fn take(&mut self, event: Event) -> Result<(), JournalError> {
        let seen: Vec<Event> = match &event.fact {
            Fact::Log { service, line, .. } => self
                .log_probes
                .iter()
                .filter_map(|probe| probe.see(service, event.at, line))
                .map(|sample| Event {
                    at: event.at,
                    fact: Fact::Sample(sample),
                })
                .collect(),
            _ => Vec::new(),
        };
        self.keep(event)?;
        seen.into_iter().try_for_each(|event| self.keep(event))
    }

    fn keep(&mut self, event: Event) -> Result<(), JournalError> {
        self.board.see(&event.fact);
        let event = self.secrets.masked(event);
        self.journal.append(&event)?;
        self.events.push(event);
        Ok(())
    }
}
