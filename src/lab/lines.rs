//! Lines of limited length.

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) text: String,
    /// Whether it was longer.
    pub(super) cut: bool,
}

/// Cuts a stream of bytes into lines of limited length.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    cut: bool,
    limit: usize,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub(super) const fn up_to(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            cut: false,
            limit,
        }
    }

    pub(super) fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Piece)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (piece, false),
            };
            let room = self.limit.saturating_sub(self.line.len());
            self.cut |= text.len() > room;
            self.line.extend_from_slice(&text[..text.len().min(room)]);
            if ends {
                each(self.take());
            }
        }
    }

    /// A last line without an end is a line too.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Piece)) {
        if !self.line.is_empty() {
            each(self.take());
        }
    }

    fn take(&mut self) -> Piece {
        let bytes = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        let text = String::from_utf8_lossy(bytes).into_owned();
        self.line.clear();
        let cut = std::mem::take(&mut self.cut);
        Piece { text, cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_where_they_end_and_where_they_are_too_long() {
        const LIMIT: usize = 100;
        let mut lines = Lines::up_to(LIMIT);
        let mut seen = Vec::new();
        lines.feed(b"one\r\ntw", |line| seen.push(line));
        lines.feed(b"o\n\n", |line| seen.push(line));
        lines.feed("ä".repeat(LIMIT).as_bytes(), |line| seen.push(line));
        lines.feed(b"\n", |line| seen.push(line));
        lines.feed("x".repeat(LIMIT).as_bytes(), |line| seen.push(line));
        lines.feed(b"\nlast", |line| seen.push(line));
        lines.finish(|line| seen.push(line));
        let texts: Vec<&str> = seen.iter().map(|line| line.text.as_str()).collect();
        let long = ["ä".repeat(LIMIT / 2), "x".repeat(LIMIT)];
        assert_eq!(texts, ["one", "two", "", &*long[0], &*long[1], "last"]);
        let cut: Vec<bool> = seen.iter().map(|line| line.cut).collect();
        assert_eq!(cut, [false, false, false, true, false, false]);
    }
}
