//! The step between the guard and a child: `__guard exec`.
//!
//! The guard may not run code between fork and exec (that is unsafe), so it starts itself once
//! more; that process changes its account, binds its life to the guard's, and turns into the child.

use std::io;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::message::{Kind, Launch};
use crate::sys::process::{self, Account};

/// Arguments of `chaosproxy __guard exec`.
#[derive(Debug, clap::Args)]
pub struct ShimArgs {
    /// Process id of the guard.
    #[arg(long)]
    guard: i32,
    /// What the child is sent when the guard ends.
    #[arg(long)]
    death_signal: Signal,
    /// User to become.
    #[arg(long, requires = "gid")]
    uid: Option<u32>,
    /// Group to become.
    #[arg(long, requires = "uid")]
    gid: Option<u32>,
    /// The program to turn into.
    program: PathBuf,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

/// The command line that turns a new process into `launch`.
pub(super) fn arguments(launch: &Launch, guard: Pid) -> Vec<std::ffi::OsString> {
    let death_signal = match launch.kind {
        Kind::Program | Kind::Initdb => Signal::SIGKILL,
        Kind::Postmaster => Signal::SIGQUIT,
    };
    let mut arguments = vec![
        "__guard".to_owned(),
        "exec".to_owned(),
        format!("--guard={guard}"),
        format!("--death-signal={death_signal}"),
    ];
    if let Some(account) = launch.account {
        arguments.push(format!("--uid={}", account.uid));
        arguments.push(format!("--gid={}", account.gid));
    }
    arguments.push("--".to_owned());
    let mut arguments: Vec<_> = arguments.into_iter().map(Into::into).collect();
    arguments.push(launch.program.clone().into());
    arguments.extend(launch.args.iter().map(Into::into));
    arguments
}

/// Turns into the child. Returns only if that failed.
pub fn turn_into_child(args: &ShimArgs) -> io::Error {
    let account = match (args.uid, args.gid) {
        (Some(uid), Some(gid)) => Some(Account { uid, gid }),
        _ => None,
    };
    let guard = Pid::from_raw(args.guard);
    let error = process::turn_into(&args.program, &args.args, account, guard, args.death_signal);
    let what = format!("cannot start `{}`: {error}", args.program.display());
    io::Error::new(error.kind(), what)
}
