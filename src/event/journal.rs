use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize, de};

use super::Event;

/// The version of the journal's format; readers refuse others.
pub const JOURNAL_FORMAT: u32 = 1;

/// The first line of a journal: all that is needed to judge the run again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`JOURNAL_FORMAT`].
    pub journal_format: u32,
    /// Version of the program that wrote it.
    pub chaosproxy: String,
    /// Unique id of the run.
    pub run: uuid::Uuid,
    /// Wall-clock time of moment zero.
    pub started_at: jiff::Timestamp,
    /// Path of the scenario file, as given.
    pub scenario_path: String,
    /// Text of the scenario file; environment variables are not filled in, and a secret that stands in
    /// it is masked byte by byte.
    pub scenario_text: String,
    /// SHA-256 of the text, in hexadecimal.
    pub scenario_sha256: String,
    /// The seed that was used.
    pub seed: u64,
    /// The resolved plan, as far as judging and reporting need it.
    pub plan: serde_json::Value,
    /// Machine, kernel, cores: what a figure depends on.
    pub environment: std::collections::BTreeMap<String, String>,
}

/// A finished journal: the header and every event in order.
#[derive(Debug, Clone, PartialEq)]
pub struct Journal {
    /// The header.
    pub header: Header,
    /// The events, in the order of recording.
    pub events: Vec<Event>,
    /// Whether its end is missing, as after a crash. A line that was cut off is left out.
    pub truncated: bool,
    /// How many lines are missing before others.
    pub missing: u64,
}

/// Why a journal could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system refused.
    #[error("{path}: {why}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A line is not what a journal of this format holds.
    #[error("{path}:{line}: not a journal line: {why}")]
    Malformed {
        /// The journal.
        path: PathBuf,
        /// 1-based.
        line: usize,
        /// Why.
        why: serde_json::Error,
    },
    /// The journal has another format.
    #[error("{path}: journal format {found}, this program reads format {JOURNAL_FORMAT}")]
    Format {
        /// The journal.
        path: PathBuf,
        /// The format that it says it has.
        found: u32,
    },
    /// The file is no text.
    #[error("{path}: not a journal: it is not a text in UTF-8")]
    Binary {
        /// The journal.
        path: PathBuf,
    },
    /// The file is empty.
    #[error("{path}: empty, not a journal")]
    Empty {
        /// The journal.
        path: PathBuf,
    },
}

/// Writes a journal as JSON Lines. Every line after the header has a number, and the last one says
/// that it is the last, so that a reader sees what is missing.
#[derive(Debug)]
pub struct JournalWriter {
    path: PathBuf,
    out: BufWriter<File>,
    /// The number of the next line.
    next: u64,
}

/// A line after the header.
#[derive(Serialize)]
struct Numbered<'a> {
    n: u64,
    #[serde(flatten)]
    event: &'a Event,
}

/// What a line says of its place. Journals of earlier versions have no numbers.
#[derive(Serialize, Deserialize)]
struct LinePlace {
    /// Counts from 0.
    n: Option<u64>,
    /// Whether it closes the journal; such a line holds no event.
    #[serde(default)]
    last_line: bool,
}

impl JournalWriter {
    /// Creates the file, which must not exist, and writes the header through to it, so that a run
    /// that could not be recorded does not begin.
    pub fn create(path: &Path, header: &Header) -> Result<Self, JournalError> {
        let file = File::create_new(path).map_err(|source| io(path, source))?;
        let mut writer = Self {
            path: path.to_owned(),
            out: BufWriter::with_capacity(1 << 16, file),
            next: 0,
        };
        writer.line(header)?;
        writer.flush()?;
        tracing::debug!(path = %path.display(), "journal opened");
        Ok(writer)
    }

    /// Appends an event; it is on its way to the file after the next [`Self::flush`].
    pub fn append(&mut self, event: &Event) -> Result<(), JournalError> {
        let n = self.next;
        self.next += 1;
        self.line(&Numbered { n, event })
    }

    /// Writes the last line: whoever reads the journal knows that it is whole.
    pub fn close(mut self) -> Result<(), JournalError> {
        let (n, last_line) = (Some(self.next), true);
        self.line(&LinePlace { n, last_line })?;
        self.flush()?;
        tracing::debug!(path = %self.path.display(), lines = self.next, "journal closed");
        Ok(())
    }

    /// Hands everything appended so far to the operating system.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        self.out.flush().map_err(|source| io(&self.path, source))
    }

    fn line(&mut self, value: &impl Serialize) -> Result<(), JournalError> {
        serde_json::to_writer(&mut self.out, value)
            .map_err(std::io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(|source| io(&self.path, source))
    }
}

impl Journal {
    /// Reads a journal. What is missing of it is reported in `truncated` and `missing`.
    pub fn read(path: &Path) -> Result<Self, JournalError> {
        let file = File::open(path).map_err(|source| io(path, source))?;
        let lines = BufReader::new(file).lines();
        let mut header: Option<Header> = None;
        let (mut events, mut places) = (Vec::new(), Places::default());
        let mut cut: Option<(usize, serde_json::Error)> = None;
        for (index, line) in lines.enumerate() {
            let line = line.map_err(|source| io(path, source))?;
            if let Some((number, source)) = cut.take() {
                return Err(malformed(path, number, source));
            }
            if header.is_none() {
                header = Some(read_header(path, &line)?);
                continue;
            }
            match places.read(&line) {
                Ok(event) => events.extend(event),
                Err(source) => cut = Some((index + 1, source)),
            }
        }
        Ok(Self {
            header: header.ok_or_else(|| JournalError::Empty {
                path: path.to_owned(),
            })?,
            events,
            truncated: cut.is_some() || (places.numbered && !places.closed),
            missing: places.missing,
        })
    }
}

/// Which lines there were.
#[derive(Default)]
struct Places {
    /// The number that the next line should have.
    next: u64,
    numbered: bool,
    closed: bool,
    missing: u64,
}

impl Places {
    /// The event of the next line; the last line has none.
    fn read(&mut self, line: &str) -> Result<Option<Event>, serde_json::Error> {
        let place: LinePlace = serde_json::from_str(line)?;
        let event = if place.last_line {
            None
        } else {
            Some(serde_json::from_str(line)?)
        };
        match place.n {
            Some(n) if n >= self.next => self.missing += n - self.next,
            None if !self.numbered => {}
            _ => {
                let next = self.next;
                return Err(de::Error::custom(format_args!(
                    "line {next} should be here"
                )));
            }
        }
        self.next = place.n.unwrap_or(self.next) + 1;
        self.numbered |= place.n.is_some();
        self.closed = place.last_line;
        Ok(event)
    }
}

fn read_header(path: &Path, line: &str) -> Result<Header, JournalError> {
    /// Only what decides whether the rest can be read.
    #[derive(Deserialize)]
    struct Format {
        journal_format: u32,
    }
    let format: Format = serde_json::from_str(line).map_err(|source| malformed(path, 1, source))?;
    if format.journal_format != JOURNAL_FORMAT {
        return Err(JournalError::Format {
            path: path.to_owned(),
            found: format.journal_format,
        });
    }
    serde_json::from_str(line).map_err(|source| malformed(path, 1, source))
}

fn io(path: &Path, why: std::io::Error) -> JournalError {
    let path = path.to_owned();
    if why.kind() == std::io::ErrorKind::InvalidData {
        return JournalError::Binary { path };
    }
    JournalError::Io { path, why }
}

fn malformed(path: &Path, line: usize, why: serde_json::Error) -> JournalError {
    JournalError::Malformed {
        path: path.to_owned(),
        line,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AskedBy, Fact, Impact};
    use crate::units::Moment;

    fn header() -> Header {
        Header {
            journal_format: JOURNAL_FORMAT,
            chaosproxy: "0.1.0".into(),
            run: uuid::Uuid::nil(),
            started_at: jiff::Timestamp::UNIX_EPOCH,
            scenario_path: "x.toml".into(),
            scenario_text: String::new(),
            scenario_sha256: String::new(),
            seed: 7,
            plan: serde_json::Value::Null,
            environment: std::collections::BTreeMap::new(),
        }
    }

    #[test]
    fn a_journal_reads_back_as_written_and_a_cut_last_line_is_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let event = Event {
            at: Moment::from_nanos(42),
            fact: Fact::FaultHit {
                fault: "f".into(),
                proxy: "p".into(),
                conn: Some(3),
                impact: Impact::Withheld,
            },
        };
        let mut writer = JournalWriter::create(&path, &header()).unwrap();
        writer.append(&event).unwrap();
        writer.flush().unwrap();
        let read = Journal::read(&path).unwrap();
        assert_eq!(read.header, header());
        assert_eq!(read.events, [event]);

        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"n\":1,\"at\":43,\"fa");
        std::fs::write(&path, &text).unwrap();
        let read = Journal::read(&path).unwrap();
        assert_eq!((read.events.len(), read.truncated), (1, true));

        std::fs::write(&path, format!("{text}\n{{}}\n")).unwrap();
        let error = Journal::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("journal.jsonl:3: not a journal line"),
            "{error}"
        );
    }

    #[test]
    fn lines_that_are_missing_are_noticed_wherever_they_stood() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        let mut writer = JournalWriter::create(&path, &header()).unwrap();
        for count in 1..=4 {
            let (at, fact) = (Moment::from_nanos(count), Fact::Lost { count });
            writer.append(&Event { at, fact }).unwrap();
        }
        writer.close().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 6);
        let read = |kept: &[usize]| {
            let kept = kept.iter().map(|index| format!("{}\n", lines[*index]));
            std::fs::write(&path, kept.collect::<String>()).unwrap();
            Journal::read(&path)
        };
        let lacks = |kept: &[usize]| {
            let read = read(kept).unwrap();
            (read.events.len(), read.missing, read.truncated)
        };
        assert_eq!(lacks(&[0, 1, 2, 3, 4, 5]), (4, 0, false));
        assert_eq!(lacks(&[0, 1, 4, 5]), (2, 2, false));
        assert_eq!(lacks(&[0, 3, 4, 5]), (2, 2, false));
        assert_eq!(lacks(&[0, 1, 2, 3, 5]), (3, 1, false));
        assert_eq!(lacks(&[0, 1, 2, 3]), (3, 0, true));
        assert_eq!(lacks(&[0, 1, 3]), (2, 1, true));
        let twice = read(&[0, 1, 2, 2, 3]).unwrap_err().to_string();
        assert!(
            twice.contains(":4: not a journal line: line 2 should be here"),
            "{twice}"
        );

        // As earlier versions wrote it.
        let old = lines[..5].join("\n").replace("\"n\":", "\"was\":");
        std::fs::write(&path, old).unwrap();
        let read = Journal::read(&path).unwrap();
        assert_eq!(
            (read.events.len(), read.missing, read.truncated),
            (4, 0, false)
        );
    }

    #[test]
    fn an_edge_that_does_not_say_who_asked_was_asked_for_by_the_schedule() {
        let edge = |more: &str| {
            let line = format!(
                r#"{{"n":0,"at":7,"fact":"fault_edge","fault":"f","edge":"lift","occurrence":1,"decided":6{more}}}"#
            );
            let event = Places::default().read(&line).unwrap().unwrap();
            match event.fact {
                Fact::FaultEdge { planned, by, .. } => (planned, by),
                other => panic!("{other:?}"),
            }
        };
        let planned = Some(Moment::from_nanos(5));
        assert_eq!(edge(r#","planned":5"#), (planned, AskedBy::Schedule));
        assert_eq!(edge(r#","by":"interrupt""#), (None, AskedBy::Interrupt));
    }

    #[test]
    fn a_journal_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.jsonl");
        drop(JournalWriter::create(&path, &header()).unwrap());
        let error = JournalWriter::create(&path, &header()).unwrap_err();
        assert!(error.to_string().contains("File exists"), "{error}");
    }

    #[test]
    fn a_journal_of_another_format_is_refused_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        std::fs::write(&path, "{\"journal_format\":99}\n").unwrap();
        let error = Journal::read(&path).unwrap_err().to_string();
        assert!(
            error.ends_with("journal format 99, this program reads format 1"),
            "{error}"
        );
    }
}
