//! A log file, followed by its identity: one that is renamed is read to its end, and the one that
//! takes its place from its beginning, whatever their lengths are.

use std::io::{ErrorKind, Result, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::lines::{Lines, Piece};

/// Bytes read at once.
const CHUNK: usize = 16 << 10;
/// Bytes before the present end by which a file is known again that was written anew.
const KNOWN: usize = 64;
/// Files that are read: a writer may keep writing to a renamed file until it opens the new one.
const FILES: usize = 2;

/// A log file under one path, and the one that was there before.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    limit: usize,
    /// The latest is the last.
    files: Vec<Open>,
}

/// A file that is being read.
#[derive(Debug)]
struct Open {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    offset: u64,
    /// The last bytes before `offset`.
    known: Vec<u8>,
    lines: Lines,
}

/// Whether the content of a file was replaced, perhaps before all of it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rewritten(pub(super) bool);

impl Tail {
    /// Follows what is at `path` from its present end. What appears there later is read from its
    /// beginning. Lines have at most `limit` bytes.
    pub(super) async fn at_end(path: PathBuf, limit: usize) -> Result<Self> {
        let mut files = Vec::with_capacity(FILES);
        if let Some(mut open) = Open::at(&path, limit).await? {
            open.skip().await?;
            files.push(open);
        }
        Ok(Self { path, limit, files })
    }

    /// Reads what is new, a line at a time.
    pub(super) async fn look(&mut self, mut each: impl FnMut(Piece)) -> Result<Rewritten> {
        let mut rewritten = false;
        for open in &mut self.files {
            rewritten |= open.read(&mut each).await?.0;
        }
        let now = match tokio::fs::metadata(&self.path).await {
            Ok(now) => Some((now.dev(), now.ino())),
            // A writer may still have the old file open, so it is read on.
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let latest = self.files.last().map(|open| open.identity);
        if now.is_some()
            && now != latest
            && let Some(mut open) = Open::at(&self.path, self.limit).await?
        {
            if self.files.len() == FILES {
                self.files.remove(0).lines.finish(&mut each);
            }
            open.read(&mut each).await?;
            self.files.push(open);
        }
        Ok(Rewritten(rewritten))
    }
}

impl Open {
    /// The file at `path`, if there is one.
    async fn at(path: &Path, limit: usize) -> Result<Option<Self>> {
        let file = match File::open(path).await {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata().await?;
        Ok(Some(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            offset: 0,
            known: Vec::new(),
            lines: Lines::up_to(limit),
        }))
    }

    /// Skips its present content.
    async fn skip(&mut self) -> Result<()> {
        let length = self.file.metadata().await?.len();
        let from = length.saturating_sub(KNOWN as u64);
        self.file.seek(SeekFrom::Start(from)).await?;
        let mut last = (&mut self.file).take(length - from);
        last.read_to_end(&mut self.known).await?;
        self.offset = from + self.known.len() as u64;
        Ok(())
    }

    /// Reads what it holds beyond what was read; from its beginning if that is not there any more.
    async fn read(&mut self, each: &mut impl FnMut(Piece)) -> Result<Rewritten> {
        let length = self.file.metadata().await?.len();
        if length == self.offset {
            return Ok(Rewritten(false));
        }
        let rewritten = length < self.offset || !self.is_known().await?;
        if rewritten {
            self.lines.finish(&mut *each);
            self.offset = 0;
            self.known.clear();
        }
        self.file.seek(SeekFrom::Start(self.offset)).await?;
        let mut chunk = vec![0; CHUNK];
        while self.offset < length {
            let count = self.file.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            self.lines.feed(&chunk[..count], &mut *each);
            self.offset += count as u64;
            self.known.extend_from_slice(&chunk[..count]);
            let surplus = self.known.len().saturating_sub(KNOWN);
            self.known.drain(..surplus);
        }
        Ok(Rewritten(rewritten))
    }

    /// Whether the bytes that were read last are still where they were.
    async fn is_known(&mut self) -> Result<bool> {
        let from = self.offset - self.known.len() as u64;
        self.file.seek(SeekFrom::Start(from)).await?;
        let mut now = vec![0; self.known.len()];
        match self.file.read_exact(&mut now).await {
            Ok(_) => Ok(now == self.known),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    struct Bench {
        path: PathBuf,
        tail: Tail,
        _directory: tempfile::TempDir,
    }

    impl Bench {
        async fn with(text: &str) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("server.log");
            fs::write(&path, text).unwrap();
            let tail = Tail::at_end(path.clone(), 100).await.unwrap();
            Self {
                path,
                tail,
                _directory: directory,
            }
        }

        fn append(&self, text: &str) {
            let mut file = fs::File::options()
                .append(true)
                .create(true)
                .open(&self.path)
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        async fn look(&mut self) -> (Vec<String>, bool) {
            let mut lines = Vec::new();
            let rewritten = self.tail.look(|piece| lines.push(piece.text)).await;
            (lines, rewritten.unwrap().0)
        }
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_file_is_read_from_its_end_on() {
        let mut bench = Bench::with("old\n").await;
        assert_eq!(bench.look().await, (lines(&[]), false));
        bench.append("ne");
        assert_eq!(bench.look().await, (lines(&[]), false));
        bench.append("w\nmore\n");
        assert_eq!(bench.look().await, (lines(&["new", "more"]), false));
    }

    #[tokio::test]
    async fn a_renamed_file_is_read_to_its_end_and_its_successor_from_its_beginning() {
        let mut bench = Bench::with("old\n").await;
        let mut writer = fs::File::options().append(true).open(&bench.path).unwrap();
        fs::rename(&bench.path, bench.path.with_extension("1")).unwrap();
        writer.write_all(b"last words\n").unwrap();
        assert_eq!(bench.look().await, (lines(&["last words"]), false));
        // At once longer than the old one was.
        bench.append("the first line of a new file\n");
        let seen = lines(&["the first line of a new file"]);
        assert_eq!(bench.look().await, (seen, false));
        // Servers write to the old one until they open the new one.
        writer.write_all(b"before reopening\n").unwrap();
        bench.append("after\n");
        assert_eq!(
            bench.look().await,
            (lines(&["before reopening", "after"]), false)
        );
    }

    #[tokio::test]
    async fn a_file_that_is_cut_or_written_anew_is_read_from_its_beginning_and_that_is_said() {
        let mut bench = Bench::with("old and long\n").await;
        fs::write(&bench.path, "short\n").unwrap();
        assert_eq!(bench.look().await, (lines(&["short"]), true));
        fs::write(&bench.path, "longer than before\nby far\n").unwrap();
        let seen = lines(&["longer than before", "by far"]);
        assert_eq!(bench.look().await, (seen, true));
        bench.append("on\n");
        assert_eq!(bench.look().await, (lines(&["on"]), false));
    }

    #[tokio::test]
    async fn a_file_that_was_not_there_is_read_from_its_beginning() {
        let mut bench = Bench::with("").await;
        fs::remove_file(&bench.path).unwrap();
        bench.tail = Tail::at_end(bench.path.clone(), 100).await.unwrap();
        assert_eq!(bench.look().await, (lines(&[]), false));
        bench.append("first\n");
        assert_eq!(bench.look().await, (lines(&["first"]), false));
    }
}
