//! All printing goes through here: stdout is data, stderr is talk.
//!
//! Texts arrive with their colours; this is the one place that decides whether they keep them. A
//! reader that went away (`chaosproxy report … | head`) is no error.

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice};

use crate::event::Secrets;

/// How the program talks; the same for every command.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OutputArgs {
    /// When to colour. `auto` colours on a terminal, unless `NO_COLOR` is set.
    #[arg(long, value_enum, value_name = "WHEN", default_value_t, global = true)]
    pub color: Color,
    /// Say nothing but errors on stderr; what is asked for still goes to stdout.
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Whether data that was asked for could not be written.
static DATA_LOST: AtomicBool = AtomicBool::new(false);

/// What must not be printed.
static SECRETS: Mutex<Option<Secrets>> = Mutex::new(None);

/// Prints `*` for these secrets from now on.
pub fn conceal(secrets: Secrets) {
    if let Ok(mut known) = SECRETS.lock() {
        known.get_or_insert_default().extend(secrets);
    }
}

/// What is to be said of a command whose data nobody got, whatever it came to: exit code 70.
pub fn honest(code: ExitCode) -> ExitCode {
    if DATA_LOST.load(Ordering::Relaxed) {
        ExitCode::from(70)
    } else {
        code
    }
}

/// How much room the talk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Talk {
    /// stderr is a terminal: lines can be drawn again in place.
    Terminal,
    /// stderr is a file, a pipe or a terminal that can only write on: lines only.
    Lines,
    /// `--quiet`: errors only.
    Off,
}

/// Prints. Cheap to copy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Printer {
    args: OutputArgs,
}

impl Printer {
    /// A printer that obeys `args`.
    pub const fn new(args: OutputArgs) -> Self {
        Self { args }
    }

    /// Writes data to stdout and ends the line if `text` does not.
    pub fn data(self, text: &str) {
        if let Err(error) = write(AutoStream::new(io::stdout(), self.choice()), text) {
            DATA_LOST.store(true, Ordering::Relaxed);
            self.error(&format!("error: cannot write to standard output: {error}"));
        }
    }

    /// Says something on stderr, unless `--quiet` is given.
    pub fn say(self, text: &str) {
        if !self.args.quiet {
            self.error(text);
        }
    }

    /// Says on stderr what must not be missed.
    pub fn error(self, text: &str) {
        // Nobody is left to be told if this fails.
        drop(write(AutoStream::new(io::stderr(), self.choice()), text));
    }

    /// Writes a drawing to stderr as it is: its control sequences place it, so they stay even
    /// where colours do not. The caller leaves colours out unless [`Self::colours_talk`].
    pub fn draw(self, drawing: &str) {
        if self.args.quiet {
            return;
        }
        let mut err = io::stderr().lock();
        // Nobody is left to be told if this fails.
        drop(err.write_all(drawing.as_bytes()).and_then(|()| err.flush()));
    }

    /// Whether what is said on stderr keeps its colours.
    pub fn colours_talk(self) -> bool {
        let choice = match self.choice() {
            ColorChoice::Auto => AutoStream::choice(&io::stderr()),
            given => given,
        };
        choice != ColorChoice::Never
    }

    /// How much room the talk has.
    pub fn talk(self) -> Talk {
        if self.args.quiet {
            Talk::Off
        } else if io::stderr().is_terminal() && moves_its_cursor(std::env::var_os("TERM")) {
            Talk::Terminal
        } else {
            Talk::Lines
        }
    }

    /// Columns of the terminal that the talk goes to; 80 if it is none.
    pub fn width(self) -> usize {
        match rustix::termios::tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_col > 0 => size.ws_col.into(),
            _ => 80,
        }
    }

    /// Rows of the terminal that the talk goes to; 24 if it is none.
    pub fn height(self) -> usize {
        match rustix::termios::tcgetwinsize(io::stderr()) {
            Ok(size) if size.ws_row > 0 => size.ws_row.into(),
            _ => 24,
        }
    }

    const fn choice(self) -> ColorChoice {
        match self.args.color {
            Color::Auto => ColorChoice::Auto,
            Color::Always => ColorChoice::Always,
            Color::Never => ColorChoice::Never,
        }
    }
}

/// Whether a terminal of this kind (`TERM`) can draw again in place.
fn moves_its_cursor(kind: Option<OsString>) -> bool {
    kind.is_none_or(|kind| kind != "dumb")
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    let known = SECRETS.lock().ok();
    let secrets = known.as_ref().and_then(|known| known.as_ref());
    let text = secrets.map_or(Cow::Borrowed(text), |secrets| secrets.mask(text));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    match write!(to, "{text}{end}").and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer whose reader fails in one way.
    struct Fails(io::ErrorKind);

    impl Write for Fails {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_ended_once() {
        for text in ["a", "a\n"] {
            let mut out = Vec::new();
            write(&mut out, text).unwrap();
            assert_eq!(out, b"a\n");
        }
    }

    #[test]
    fn nothing_is_drawn_again_on_a_dumb_terminal() {
        assert!(moves_its_cursor(None));
        assert!(moves_its_cursor(Some("xterm".into())));
        assert!(!moves_its_cursor(Some("dumb".into())));
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_and_a_full_disk_is_one() {
        assert!(write(Fails(io::ErrorKind::BrokenPipe), "a").is_ok());
        assert!(write(Fails(io::ErrorKind::StorageFull), "a").is_err());
    }
}
