//! What services say: line by line, with the moment at which each line arrived.
//!
//! A service must never wait for us: whatever it writes is read at once, and what is too much for
//! the record is left out of it and counted.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufWriter, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};

use super::error::LogTail;
use super::form::Form;
use crate::event::{Fact, LogStream, Name, Recorder};
use crate::units::Moment;

/// Bytes of a line that are recorded.
const LINE_LIMIT: usize = 4096;
/// Lines of a service that are recorded in one second; more would crowd out other facts.
const LINES_PER_SECOND: u32 = 2_000;
/// Bytes that are kept in a service's file in the report's folder.
const FILE_LIMIT: u64 = 64 << 20;
/// How often a growing file is looked at.
const FILE_LOOK: Duration = Duration::from_millis(50);
/// Bytes read at once.
const CHUNK: usize = 16 << 10;

/// Where the lines of one service go: into the record, into a file, and into its last words.
#[derive(Debug)]
pub(super) struct LogBook {
    service: Name,
    recorder: Recorder,
    pages: Mutex<Pages>,
}

#[derive(Debug)]
struct Pages {
    file: BufWriter<File>,
    written: u64,
    tail: VecDeque<String>,
    second: Moment,
    recorded: u32,
    left_out: u64,
}

/// Whether lines are evidence, or only kept for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Recorded as facts.
    Record,
    /// Only written to the file.
    Keep,
}

impl LogBook {
    pub(super) fn create(service: &Name, recorder: Recorder, file: &Path) -> std::io::Result<Self> {
        Ok(Self {
            service: Name::clone(service),
            recorder,
            pages: Mutex::new(Pages {
                file: BufWriter::new(File::create(file)?),
                written: 0,
                tail: VecDeque::with_capacity(LogTail::LINES),
                second: Moment::ZERO,
                recorded: 0,
                left_out: 0,
            }),
        })
    }

    /// The last lines, for a message.
    pub(super) fn tail(&self) -> LogTail {
        LogTail(self.pages().tail.iter().cloned().collect())
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
        let keep = |at, line| {
            for line in form.logged(line) {
                self.line(at, stream, purpose, line);
            }
        };
        // A pipe that cannot be read has ended for us.
        while let Ok(count @ 1..) = source.read(&mut chunk).await {
            let at = self.recorder.clock().now();
            lines.feed(&chunk[..count], |line| keep(at, line));
            self.flush();
        }
        let at = self.recorder.clock().now();
        lines.finish(|line| keep(at, line));
        self.flush();
    }

    /// Follows a growing file from its present end, for ever. A file that appears later is read
    /// from its beginning, and so is one that became shorter.
    pub(super) async fn follow(&self, path: PathBuf) {
        let mut offset = tokio::fs::metadata(&path).await.map_or(0, |now| now.len());
        let mut lines = Lines::up_to(LINE_LIMIT);
        loop {
            tokio::time::sleep(FILE_LOOK).await;
            if let Ok(end) = self.catch_up(&path, offset, &mut lines).await {
                offset = end;
            }
        }
    }

    /// Reads what a file holds beyond `offset`; gives the new offset.
    async fn catch_up(&self, path: &Path, offset: u64, lines: &mut Lines) -> std::io::Result<u64> {
        let mut file = tokio::fs::File::open(path).await?;
        let length = file.metadata().await?.len();
        let mut offset = if length < offset { 0 } else { offset };
        file.seek(SeekFrom::Start(offset)).await?;
        let mut chunk = vec![0; CHUNK];
        while offset < length {
            let count = file.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            let at = self.recorder.clock().now();
            lines.feed(&chunk[..count], |line| {
                self.line(at, LogStream::File, Use::Record, line);
            });
            offset += count as u64;
        }
        self.flush();
        Ok(offset)
    }

    fn line(&self, at: Moment, stream: LogStream, purpose: Use, mut line: String) {
        line.truncate(line.floor_char_boundary(LINE_LIMIT));
        let mut pages = self.pages();
        if at.since(pages.second) >= Duration::from_secs(1) {
            self.report_left_out(&mut pages);
            pages.second = at;
            pages.recorded = 0;
        }
        pages.keep(&line);
        if purpose == Use::Keep {
            return;
        }
        if pages.recorded == LINES_PER_SECOND {
            pages.left_out += 1;
            return;
        }
        pages.recorded += 1;
        let service = Name::clone(&self.service);
        let fact = Fact::Log {
            service,
            stream,
            line,
        };
        self.recorder.record_at(at, fact);
    }

    fn report_left_out(&self, pages: &mut Pages) {
        let count = std::mem::take(&mut pages.left_out);
        if count > 0 {
            let message = format!(
                "{count} log lines of `{}` are not recorded: it wrote more than {LINES_PER_SECOND} in a second",
                self.service
            );
            self.recorder.record(Fact::Trouble { message });
        }
    }

    fn flush(&self) {
        // The file is a courtesy to people; the record is what counts.
        self.pages().file.flush().ok();
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for LogBook {
    fn drop(&mut self) {
        let mut pages = self.pages();
        self.report_left_out(&mut pages);
    }
}

impl Pages {
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

/// Cuts a stream of bytes into lines of limited length.
#[derive(Debug)]
struct Lines {
    line: Vec<u8>,
    limit: usize,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    const fn up_to(limit: usize) -> Self {
        let line = Vec::new();
        Self { line, limit }
    }

    fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(String)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = self.limit.saturating_sub(self.line.len());
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                each(self.take());
            }
        }
    }

    /// A last line without an end is a line too.
    fn finish(mut self, mut each: impl FnMut(String)) {
        if !self.line.is_empty() {
            each(self.take());
        }
    }

    fn take(&mut self) -> String {
        let bytes = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.line.clear();
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::bus;
    use crate::units::Clock;

    #[test]
    fn lines_are_cut_where_they_end_and_where_they_are_too_long() {
        let mut lines = Lines::up_to(LINE_LIMIT);
        let mut seen = Vec::new();
        lines.feed(b"one\r\ntw", |line| seen.push(line));
        lines.feed(b"o\n\n", |line| seen.push(line));
        lines.feed("ä".repeat(LINE_LIMIT).as_bytes(), |line| seen.push(line));
        lines.feed(b"\nlast", |line| seen.push(line));
        lines.finish(|line| seen.push(line));
        assert_eq!(seen[..3], ["one", "two", ""]);
        assert_eq!(seen[3], "ä".repeat(LINE_LIMIT / 2));
        assert_eq!(seen[4..], ["last"]);
    }

    #[tokio::test]
    async fn a_storm_of_lines_is_read_to_its_end_and_what_is_left_out_is_reported() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("x.log");
        let (recorder, mut stream) = bus(Clock::start());
        let count = LINES_PER_SECOND * 2;
        let storm = "x\n".repeat(count as usize);
        let book = LogBook::create(&"x".into(), recorder, &file).unwrap();
        let form = Form::Lines;
        book.read(storm.as_bytes(), LogStream::Stderr, Use::Record, &form)
            .await;
        assert_eq!(book.tail().0, ["x"; LogTail::LINES]);
        drop(book);
        let (mut lines, mut trouble) = (0, 0);
        while let Some(event) = stream.try_next() {
            match event.fact {
                Fact::Log { .. } => lines += 1,
                Fact::Trouble { .. } => trouble += 1,
                other => panic!("{other:?}"),
            }
        }
        // The storm may lie across the end of a second.
        assert!(
            (LINES_PER_SECOND..count).contains(&lines),
            "{lines} lines recorded"
        );
        assert_eq!(trouble, 1);
        let kept = std::fs::read_to_string(file).unwrap();
        assert_eq!(kept.lines().count(), count as usize);
    }
}
