//! Processes: descendants, signals, and children that end with their parent.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::prctl;
use nix::sys::signal::{self, SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Gid, Pid, Uid, User, getppid, setgid, setgroups, setsid, setuid};
use serde::{Deserialize, Serialize};

/// A user and its main group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The account for programs that refuse to run as root; `None` if we are not root.
///
/// `postgres` if there is one, else `nobody`.
pub fn unprivileged_account() -> io::Result<Option<Account>> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    for name in ["postgres", "nobody"] {
        if let Some(user) = User::from_name(name)? {
            return Ok(Some(Account {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            }));
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        "neither a user `postgres` nor a user `nobody` exists",
    ))
}

/// Whether we own what `metadata` describes.
pub fn owns(metadata: &std::fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == Uid::effective().as_raw()
}

/// Leaves the session of the terminal, and adopts every descendant whose parent ends.
pub fn detach_and_adopt() -> io::Result<()> {
    setsid()?;
    prctl::set_child_subreaper(true)?;
    Ok(())
}

/// Turns into `program`: as `account`, to be ended by `signal` when `parent` ends.
///
/// Returns only if it could not. The order matters: changing the user clears the signal, and a
/// parent that ended before it was set sends none.
pub fn turn_into(
    program: &Path,
    args: &[String],
    account: Option<Account>,
    parent: Pid,
    signal: Signal,
) -> io::Error {
    let prepare = || -> nix::Result<()> {
        if let Some(account) = account {
            let gid = Gid::from_raw(account.gid);
            setgroups(&[gid])?;
            setgid(gid)?;
            setuid(Uid::from_raw(account.uid))?;
        }
        prctl::set_pdeathsig(signal)?;
        SigSet::empty().thread_set_mask()?;
        if getppid() == parent {
            Ok(())
        } else {
            Err(nix::errno::Errno::ESRCH)
        }
    };
    match prepare() {
        Ok(()) => Command::new(program).args(args).exec(),
        Err(errno) => errno.into(),
    }
}

/// Every descendant of `root`, parents before children, without the families of `except`.
///
/// One that ended and was not collected yet counts.
pub fn descendants(root: Pid, except: &[Pid]) -> Vec<Pid> {
    let table = parents();
    let mut family = vec![root];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        let children = table
            .iter()
            .filter(|(pid, of)| *of == parent && !except.contains(pid))
            .map(|(pid, _)| *pid);
        family.extend(children);
        next += 1;
    }
    family.remove(0);
    family
}

/// Whether this process ignores `signal`; it inherits that from its parent.
pub fn ignores(signal: Signal) -> io::Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    Ok(ignored_in(&status) & (1 << (signal as u32 - 1)) != 0)
}

/// Sends `signal`; one that is gone already is fine.
pub fn send(pid: Pid, signal: Signal) {
    // ESRCH is what we want in the end; EPERM cannot be helped, and the caller sees that it lives.
    signal::kill(pid, signal).ok();
}

/// Sends `signal` to the process group that `leader` leads.
pub fn send_group(leader: Pid, signal: Signal) {
    signal::killpg(leader, signal).ok();
}

/// Kills the process group that `leader` led or leads.
pub fn kill_group(leader: u32) {
    send_group(Pid::from_raw(leader.cast_signed()), Signal::SIGKILL);
}

/// Asks a postmaster to end at once, without harm to its shared memory; its whole family must be
/// awake for that.
pub fn quit_postmaster(pid: Pid) {
    send(pid, Signal::SIGQUIT);
    wake(pid);
}

/// Kills a process whose children notice by themselves that it is gone; they must be awake for
/// that.
pub fn kill_alone(pid: Pid) {
    // While it lives, its children can be found.
    wake(pid);
    send(pid, Signal::SIGKILL);
}

/// Continues a process and its descendants.
fn wake(pid: Pid) {
    send(pid, Signal::SIGCONT);
    for pid in descendants(pid, &[]) {
        send(pid, Signal::SIGCONT);
    }
}

/// The next child that ended, if any; does not wait.
pub fn reap() -> Option<WaitStatus> {
    match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        Ok(WaitStatus::StillAlive) | Err(_) => None,
        Ok(status) => Some(status),
    }
}

/// The working directory of a process, if it lives and we may see it.
pub fn working_directory(pid: Pid) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/cwd")).ok()
}

/// Every process that was started with `name=value` in its environment, as far as we may see.
pub fn with_environment(name: &str, value: &Path) -> Vec<Pid> {
    let mut entry = format!("{name}=").into_bytes();
    entry.extend_from_slice(value.as_os_str().as_bytes());
    let mut found = all();
    found.retain(|pid| {
        std::fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == entry))
    });
    found
}

/// The name of a process and its id, for people.
pub fn describe(pid: Pid) -> String {
    format!("{} (process {pid})", name(pid))
}

/// The name of a process; empty if it is gone.
pub fn name(pid: Pid) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// Whether a process is there and has not ended; one that waits to be collected has.
pub fn runs(pid: Pid) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|words| !words.is_empty())
}

/// `(process, parent)` of every process.
fn parents() -> Vec<(Pid, Pid)> {
    let parent = |pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, parent_in(&stat)?))
    };
    all().into_iter().filter_map(parent).collect()
}

/// Every process.
fn all() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .map(Pid::from_raw)
        .collect()
}

/// The parent in a line of `/proc/PID/stat`; the name, in parentheses, may hold anything.
fn parent_in(stat: &str) -> Option<Pid> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let _state = fields.next()?;
    fields.next()?.parse().ok().map(Pid::from_raw)
}

/// A bit for each signal that a process ignores, by what `/proc/PID/status` says.
fn ignored_in(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(
            parent_in("17 (a) R 1 (b) S 42 17 17 0"),
            Some(Pid::from_raw(42))
        );
        assert_eq!(parent_in("gone"), None);
    }
}
