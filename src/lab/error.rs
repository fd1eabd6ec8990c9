use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use super::guard::Exit;
use crate::event::Name;
use crate::template::UnknownName;

/// Why something could not be stood up, asked or cleared away.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The guard process could not be started.
    #[error("start the guard process: {source}")]
    GuardStart {
        /// Why.
        source: std::io::Error,
    },
    /// The guard process could not prepare itself.
    #[error("prepare the guard process: {why}")]
    GuardUnable {
        /// Why.
        why: String,
    },
    /// The guard process ended before its time.
    #[error("the guard process is gone; what it started was ended with it")]
    GuardLost,
    /// Not everything was cleared away.
    #[error("clear everything away; left behind: {}", left.join(", "))]
    Left {
        /// What was left.
        left: Vec<String>,
    },
    /// A program could not be started.
    #[error("start `{program}`: {why}")]
    NotStarted {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// A file or socket of the lab.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// No server of PostgreSQL 14 or newer.
    #[error(
        "find PostgreSQL 14 or newer, which `managed = true` needs; searched {searched}{too_old}; \
         install it with `{install}`, or give the database a `url`"
    )]
    NoPostgres {
        /// Where it was searched.
        searched: String,
        /// What was found instead, as a remark.
        too_old: String,
        /// The command that installs it.
        install: &'static str,
    },
    /// A tool of PostgreSQL failed.
    #[error("make a database cluster: `{program}` ended with {exit}{log}")]
    Tool {
        /// The tool.
        program: String,
        /// How it ended.
        exit: Exit,
        /// What it said.
        log: LogTail,
    },
    /// A managed server ended while it was being started.
    #[error("start the server of database `{database}`: it ended with {exit}{log}")]
    ServerExited {
        /// The database.
        database: Name,
        /// How it ended.
        exit: Exit,
        /// The end of its log.
        log: LogTail,
    },
    /// A managed server does not answer.
    #[error("start the server of database `{database}`: no answer after {waited:?}{log}")]
    ServerNotReady {
        /// The database.
        database: Name,
        /// How long it was waited for.
        waited: Duration,
        /// The end of its log.
        log: LogTail,
    },
    /// A database refuses a connection.
    #[error("connect to database `{database}` at {address}: {why}")]
    Connect {
        /// The database.
        database: Name,
        /// Where it is.
        address: String,
        /// Why.
        why: String,
    },
    /// A statement of `setup` failed.
    #[error("set up database `{database}`: {why}; the statement was `{statement}`")]
    SetUp {
        /// The database.
        database: Name,
        /// Why.
        why: String,
        /// The statement.
        statement: String,
    },
    /// The URL of a database cannot be used. The URL is not shown: it may hold a password.
    #[error("use the url of database `{database}`: {why}")]
    DatabaseUrl {
        /// The database.
        database: Name,
        /// Why.
        why: String,
    },
    /// A name that no database or service of this run has.
    #[error("no {what} `{name}` was started")]
    Unknown {
        /// Database or service.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A placeholder in a service's command or environment.
    #[error("fill in `{template}` of service `{service}`: {source}")]
    Template {
        /// The service.
        service: Name,
        /// The text as written.
        template: String,
        /// Why.
        source: UnknownName,
    },
    /// The URL of a service cannot be used.
    #[error("use the url `{url}` of service `{service}`: {why}")]
    ServiceUrl {
        /// The service.
        service: Name,
        /// The URL.
        url: String,
        /// Why.
        why: String,
    },
    /// A command of a fault failed.
    #[error("run `{command}`: {why}{log}")]
    Command {
        /// The program and its arguments.
        command: String,
        /// How it ended, or that it did not.
        why: String,
        /// The end of its log.
        log: LogTail,
    },
    /// The program that a log is read from.
    #[error("read the log of service `{service}`: there is no program `{program}`; {advice}")]
    NoFollower {
        /// The service.
        service: Name,
        /// The program.
        program: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// A service ended before it was ready.
    #[error("start service `{service}`: it ended with {exit} before it was ready{log}")]
    ServiceExited {
        /// The service.
        service: Name,
        /// How it ended.
        exit: Exit,
        /// The end of its log.
        log: LogTail,
    },
    /// A service is not ready in time.
    #[error(
        "wait for service `{service}`: not ready after {waited:?}: {why}{}",
        log.as_ref().map_or_else(String::new, LogTail::to_string)
    )]
    ServiceNotReady {
        /// The service.
        service: Name,
        /// How long it was waited for.
        waited: Duration,
        /// The last attempt's failure.
        why: String,
        /// The end of its log; `None` if it is not read.
        log: Option<LogTail>,
    },
}

impl LabError {
    /// Wraps an error of the operating system by what was tried.
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The last lines of a log, to be put behind a message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogTail(pub Vec<String>);

impl LogTail {
    /// Lines that are quoted at most.
    pub(super) const LINES: usize = 10;

    /// The end of a file's text; empty if it cannot be read.
    pub(super) fn of_file(path: &PathBuf) -> Self {
        let bytes = std::fs::read(path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        Self(lines[lines.len().saturating_sub(Self::LINES)..].to_vec())
    }
}

impl fmt::Display for LogTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("; its log is empty");
        }
        f.write_str("; its log ends with:")?;
        self.0.iter().try_for_each(|line| write!(f, "\n    {line}"))
    }
}
