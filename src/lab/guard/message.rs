//! The messages between a run and its guard: one JSON value per line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::sys::process::Account;

/// From the run to its guard. The end of the stream asks the guard to clear everything away.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Start a child under this number.
    Start { child: u64, launch: Launch },
    /// Ask a child to end.
    Terminate { child: u64 },
    /// End a child.
    Kill { child: u64 },
    /// Fast shutdown of a postmaster.
    Interrupt { child: u64 },
    /// Stop a child where it is.
    Pause { child: u64 },
    /// Continue a child.
    Resume { child: u64 },
    /// Start this, under this number, when the run is gone.
    Promise { undo: u64, launch: Launch },
    /// Drop a promise: the run has done it itself.
    Forget { undo: u64 },
}

/// From the guard to its run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// The guard is ready; the run's directory.
    Ready { directory: PathBuf },
    /// The guard cannot start, and ends.
    Unable { why: String },
    /// A child was started.
    Started { child: u64, pid: u32 },
    /// A child could not be started.
    NotStarted { child: u64, why: String },
    /// A child ended.
    Ended { child: u64, exit: Exit },
    /// Cleaned up, except for what is named here. The last report.
    Cleared { left: Vec<String> },
}

/// A program to be started by the guard, with `/dev/null` as its input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Launch {
    /// The program; without a slash it is searched in `PATH`.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// Environment variables besides those that are inherited.
    pub env: BTreeMap<String, String>,
    /// Its working directory; `None` is that of the run.
    pub directory: Option<PathBuf>,
    /// File or named pipe that its output is appended to.
    pub stdout: PathBuf,
    /// The same for its error output.
    pub stderr: PathBuf,
    /// The account it runs as; `None` is that of the run.
    pub account: Option<Account>,
    /// How it must be ended.
    pub kind: Kind,
}

/// How a child must be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// SIGTERM, then SIGKILL, both to its process group.
    Program,
    /// SIGKILL, to itself alone: initdb, whose servers read from it and end by themselves without
    /// it. One that is ended before leaks its shared memory.
    Initdb,
    /// SIGQUIT and nothing else: a postmaster that is killed leaks its shared memory.
    Postmaster,
}

/// How a child ended. Displayed as `exit code 1` or `signal SIGKILL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// By a signal, by name.
    Signal(String),
}

impl Exit {
    /// Whether it ended with exit code 0.
    pub const fn is_success(&self) -> bool {
        matches!(self, Self::Code(0))
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}
