//! Logs of services: line by line, with the moment at which each line arrived.
//!
//! A service must never block on its output: all of it is read at once, and lines beyond the rate
//! limit are left out of the record and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::error::LogTail;
use super::form::Form;
use super::lines::{Lines, Piece};
use super::tail::Tail;
use crate::event::{Fact, LogGap, LogStream, Name, Recorder};
use crate::units::Moment;

/// Bytes of a line that are recorded.
const LINE_LIMIT: usize = 4096;
/// Lines of a service that are recorded in one second; more would crowd out other facts.
const LINES_PER_SECOND: u32 = 2_000;
/// Bytes that are kept in a service's file in the report's folder.
const FILE_LIMIT: u64 = 64 << 20;
/// How often a growing file is read.
const FILE_INTERVAL: Duration = Duration::from_millis(50);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// The log of one service: recorded, written to a file, its last lines kept for messages.
#[derive(Debug)]
pub(super) struct ServiceLog {
    service: Name,
    recorder: Recorder,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: BufWriter<File>,
    written: u64,
    tail: VecDeque<String>,
    second: Moment,
    recorded: u32,
    /// From when to when lines were left out, and how many.
    left_out: Option<(Moment, Moment, u64)>,
}

/// Whether lines are evidence, or only kept for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Recorded as facts.
    Record,
    /// Only written to the file.
    Keep,
}

impl ServiceLog {
    pub(super) fn create(service: &Name, recorder: Recorder, file: &Path) -> std::io::Result<Self> {
        Ok(Self {
            service: Name::clone(service),
            recorder,
            state: Mutex::new(State {
                file: BufWriter::new(File::create(file)?),
                written: 0,
                tail: VecDeque::with_capacity(LogTail::LINES),
                second: Moment::ZERO,
                recorded: 0,
                left_out: None,
            }),
        })
    }

    /// The last lines, for a message.
    pub(super) fn tail(&self) -> LogTail {
        LogTail(self.state().tail.iter().cloned().collect())
    }

    pub(super) fn now(&self) -> Moment {
        self.recorder.clock().now()
    }

    /// Reads `source` to its end.
    pub(super) async fn read(
        &self,
        mut source: impl AsyncRead + Unpin,
        stream: LogStream,
        purpose: Use,
        form: &Form,
    ) {
        let mut lines = Lines::up_to(form.limit(LINE_LIMIT));
        let mut chunk = vec![0; CHUNK];
        let keep = |at, piece: Piece| {
            let Piece { text, cut } = piece;
            for text in form.logged(text) {
                self.line(at, stream, purpose, Piece { text, cut });
            }
        };
        // A read error counts as the end.
        while let Ok(count @ 1..) = source.read(&mut chunk).await {
            let at = self.recorder.clock().now();
            lines.feed(&chunk[..count], |piece| keep(at, piece));
            self.flush();
        }
        let at = self.recorder.clock().now();
        lines.finish(|piece| keep(at, piece));
        self.flush();
    }

    /// Follows a growing file from its present end, for ever.
    pub(super) async fn follow(&self, path: PathBuf) {
        let mut looked = self.recorder.clock().now();
        if let Err(error) = self.watch(path, &mut looked).await {
            self.gap(looked, None, format!("its file cannot be read: {error}"));
        }
    }

    async fn watch(&self, path: PathBuf, looked: &mut Moment) -> std::io::Result<()> {
        let mut tail = Tail::at_end(path, LINE_LIMIT).await?;
        loop {
            tokio::time::sleep(FILE_INTERVAL).await;
            let now = self.recorder.clock().now();
            let each = |piece| self.line(now, LogStream::File, Use::Record, piece);
            if tail.look(each).await?.0 {
                let why = "its file was cut or written anew before it was read to its end";
                self.gap(*looked, Some(now), why.to_owned());
            }
            self.flush();
            *looked = now;
        }
    }

    /// Records that lines may have been missed.
    pub(super) fn gap(&self, from: Moment, until: Option<Moment>, why: String) {
        let service = Name::clone(&self.service);
        self.recorder.record(Fact::LogGap(LogGap {
            service,
            from,
            until,
            why,
        }));
    }

    fn line(&self, at: Moment, stream: LogStream, purpose: Use, piece: Piece) {
        let Piece {
            text: mut line,
            cut,
        } = piece;
        let cut = cut || line.len() > LINE_LIMIT;
        line.truncate(line.floor_char_boundary(LINE_LIMIT));
        let mut state = self.state();
        if at.since(state.second) >= Duration::from_secs(1) {
            self.report_left_out(&mut state);
            state.second = at;
            state.recorded = 0;
        }
        state.keep(&line);
        if purpose == Use::Keep {
            return;
        }
        if state.recorded == LINES_PER_SECOND {
            let left_out = state.left_out.get_or_insert((at, at, 0));
            left_out.1 = at;
            left_out.2 += 1;
            return;
        }
        state.recorded += 1;
        let service = Name::clone(&self.service);
        let fact = Fact::Log {
            service,
            stream,
            line,
            cut,
        };
        self.recorder.record_at(at, fact);
    }

    fn report_left_out(&self, state: &mut State) {
        if let Some((from, until, count)) = state.left_out.take() {
            let why = format!("{count} lines beyond {LINES_PER_SECOND} in a second");
            self.gap(from, Some(until), why);
        }
    }

    fn flush(&self) {
        // The file is only for people; an error changes no verdict.
        self.state().file.flush().ok();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ServiceLog {
    fn drop(&mut self) {
        let mut state = self.state();
        self.report_left_out(&mut state);
    }
}

impl State {
    fn keep(&mut self, line: &str) {
        if self.tail.len() == LogTail::LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if self.written < FILE_LIMIT {
            self.written += line.len() as u64 + 1;
            writeln!(self.file, "{line}").ok();
            if self.written >= FILE_LIMIT {
                writeln!(self.file, "[chaosproxy: the rest is left out]").ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::bus;
    use crate::units::Clock;

    #[tokio::test]
    async fn a_storm_of_lines_is_read_to_its_end_and_what_is_left_out_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.log");
        let (recorder, mut stream) = bus(Clock::start());
        let count = LINES_PER_SECOND * 2;
        let storm = "x\n".repeat(count as usize);
        let log = ServiceLog::create(&"x".into(), recorder, &file).unwrap();
        let form = Form::Lines;
        log.read(storm.as_bytes(), LogStream::Stderr, Use::Record, &form)
            .await;
        assert_eq!(log.tail().0, ["x"; LogTail::LINES]);
        drop(log);
        let (mut lines, mut gaps) = (0, Vec::new());
        while let Some(event) = stream.try_next() {
            match event.fact {
                Fact::Log { .. } => lines += 1,
                Fact::LogGap(gap) => gaps.push(gap),
                other => panic!("{other:?}"),
            }
        }
        // The storm may lie across the end of a second.
        assert!(
            (LINES_PER_SECOND..count).contains(&lines),
            "{lines} lines recorded"
        );
        let [gap] = gaps.as_slice() else {
            panic!("{gaps:?}")
        };
        let missing = count - lines;
        assert_eq!(gap.why, format!("{missing} lines beyond 2000 in a second"));
        assert!(gap.until.is_some_and(|until| gap.from <= until));
        let kept = std::fs::read_to_string(file).unwrap();
        assert_eq!(kept.lines().count(), count as usize);
    }
}
