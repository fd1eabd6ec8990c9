//! Lines become a block on a terminal that can be taken away again. Makes texts, prints nothing.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

/// A line and how it is to be felt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How a line is to be felt; the words say it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Heading,
    Good,
    Bad,
    Warning,
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
        }
    }
}

/// `text` in the colours of `tone`.
pub(super) fn styled(text: &str, tone: Tone) -> String {
    let style = tone.style();
    format!("{style}{text}{style:#}")
}

/// Bytes a second. As wide for every figure, so that what stands behind it stays where it is.
pub(super) fn rate(bytes: f64) -> String {
    let units = [("GB/s", 1e9), ("MB/s", 1e6), ("KB/s", 1e3)];
    match units.into_iter().find(|(_, scale)| bytes >= *scale) {
        Some((unit, scale)) => format!("{:>5.1} {unit}", bytes / scale),
        None => format!("{bytes:>5.0}  B/s"),
    }
}

/// At most so many columns of a text: it loses its padding first, then its end.
fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        text.to_owned()
    } else {
        unpadded(text).chars().take(columns).collect()
    }
}

/// Columns of a text.
pub(super) fn width(text: &str) -> usize {
    text.chars().count()
}

/// Blanks that stand together become one.
pub(super) fn unpadded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter != ' ' || !out.ends_with(' ') {
            out.push(letter);
        }
    }
    out
}

/// What stands at the bottom of the terminal at present.
#[derive(Debug, Default)]
pub(super) struct Block {
    rows: usize,
}

impl Block {
    /// The sequence that replaces the block by `lines`, none of them wider than `width`: a line
    /// that wrapped would take a row that is not counted.
    pub(super) fn draw(&mut self, lines: &[Line], width: usize, colours: bool) -> String {
        let mut out = self.erase();
        for line in lines {
            let text = cut(&line.text, width.saturating_sub(1));
            let text = if colours {
                styled(&text, line.tone)
            } else {
                text
            };
            writeln!(out, "{text}").expect("a String takes every text");
        }
        self.rows = lines.len();
        out
    }

    /// The sequence that takes the block away and leaves the cursor where it began.
    pub(super) fn erase(&mut self) -> String {
        match std::mem::take(&mut self.rows) {
            0 => String::new(),
            // Up to the block's first row, and clear from there to the end of the screen.
            rows => format!("\r\x1b[{rows}A\x1b[J"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line {
            text: text.to_owned(),
            tone: Tone::Bad,
        }
    }

    #[test]
    fn a_drawing_goes_up_as_many_rows_as_the_last_one_took() {
        let mut block = Block::default();
        assert_eq!(block.draw(&[line("a"), line("b")], 80, false), "a\nb\n");
        assert_eq!(block.draw(&[line("c")], 80, false), "\r\x1b[2A\x1b[Jc\n");
        assert_eq!(block.erase(), "\r\x1b[1A\x1b[J");
        assert_eq!(block.erase(), "");
    }

    #[test]
    fn a_line_never_wraps_and_colours_do_not_count_as_width() {
        let mut block = Block::default();
        assert_eq!(block.draw(&[line("abcdef")], 5, false), "abcd\n");
        let padded = Block::default().draw(&[line("a    b   cde")], 8, false);
        assert_eq!(padded, "a b cde\n", "padding goes first");
        let coloured = Block::default().draw(&[line("abcdef")], 5, true);
        assert_eq!(coloured, "\x1b[31mabcd\x1b[0m\n");
    }
}
