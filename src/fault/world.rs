//! Operations outside the byte stream, as pure data: on ports, on processes, by commands. Each has
//! an undo, known to whoever carries it out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// An operation on the targets of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorldOp {
    /// Holds the targets' ports. Undone by letting go of them.
    Seize(Grip),
    /// Ends or stops the targets' processes. Undone by starting or continuing them.
    Halt(Halt),
    /// Runs a command, and another to undo it.
    Run(CommandLine),
}

/// What clients meet at a seized port.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Grip {
    /// The port is bound and nobody listens: clients are refused.
    Bound,
    /// Connections are accepted, and nothing is ever said.
    #[default]
    Silent,
    /// Connections are accepted and closed at once.
    Close,
    /// Connections are greeted as by an SSH server, and stay open.
    Foreign,
}

/// How a process is brought down or to a standstill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halt {
    /// SIGKILL.
    Kill,
    /// SIGTERM.
    Terminate,
    /// SIGSTOP.
    Stop,
    /// SIGINT to a postmaster: sessions are ended with a message, all is written.
    FastShutdown,
    /// SIGQUIT to a postmaster: every process quits at once.
    ImmediateShutdown,
}

/// A command and its undo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The program and its arguments.
    pub run: Vec<String>,
    /// The program and its arguments that take it back; empty if nothing needs to be.
    pub undo: Vec<String>,
    /// How long each of the two may take.
    pub timeout: Duration,
}
