//! The directory of a run: made, locked, and removed by a later run if a crash left it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::sys::{process, shm};

const PREFIX: &str = "chaosproxy-";
const LOCK: &str = "lock";

/// Where in a run's directory the data of its PostgreSQL clusters lies, one directory each.
pub const CLUSTERS: &str = "clusters";

/// In the environment of everything that a guard starts: the directory of its run.
pub(super) const MARK: &str = "CHAOSPROXY_RUN_DIRECTORY";

/// How long a postmaster of a crashed run, or a server of its initdb, may take to end.
const POSTMASTER_LIMIT: Duration = Duration::from_secs(5);
/// How often the process table is read meanwhile.
const POLL: Duration = Duration::from_millis(10);

/// A run's directory. Its lock is held for as long as this lives.
#[derive(Debug)]
pub(super) struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

impl RunDirectory {
    /// Makes `chaosproxy-<pid>-<random>` under `temp`.
    pub(super) fn create(temp: &Path, pid: u32) -> io::Result<Self> {
        let name = format!("{PREFIX}{pid}-{}", uuid::Uuid::new_v4().simple());
        // It gets its name when its lock is held, so that no sweep can take it for a stale one.
        let nameless = temp.join(format!(".{name}"));
        fs::create_dir(&nameless)?;
        // Others may pass through to what they own inside, and may list nothing.
        fs::set_permissions(&nameless, fs::Permissions::from_mode(0o711))?;
        let lock = File::create(nameless.join(LOCK))?;
        lock.try_lock()?;
        let path = temp.join(name);
        fs::rename(nameless, &path)?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it with all it holds, and the shared memory that processes of its run left.
    pub(super) fn remove(self, ended: BTreeSet<Pid>) -> io::Result<()> {
        remove_memory(&self.path, ended);
        fs::remove_dir_all(&self.path)
    }
}

/// Clears away what is left of runs of our own whose guard is gone: their processes, then their
/// directories.
pub(super) async fn sweep(temp: &Path) {
    let Ok(entries) = fs::read_dir(temp) else {
        return;
    };
    for entry in entries.flatten() {
        let is_run = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_dir() && process::owns(&metadata));
        if !is_run {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(LOCK)) else {
            continue;
        };
        if lock.try_lock().is_ok() && end_postmasters(&entry.path()).await {
            let ended = end_programs(&entry.path()).await;
            remove_memory(&entry.path(), ended);
            // What cannot be removed now is met again by the next sweep.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

/// Ends the postmasters whose data lies in `directory`; false if one stays.
async fn end_postmasters(directory: &Path) -> bool {
    let postmasters = postmasters(directory);
    for (pid, _) in &postmasters {
        process::quit_postmaster(*pid);
    }
    let gone = async {
        while postmasters
            .iter()
            .any(|(pid, data)| serves(*pid, data.as_path()))
        {
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(POSTMASTER_LIMIT, gone).await.is_ok()
}

/// Ends the programs that a guard started for the run in `directory`, with all that they started; returns
/// them.
///
/// Most of them ended with their guard; one in a session of its own did not, nor did its children.
/// The servers of an initdb end by themselves, now that it is gone; they would leave their shared
/// memory if they were killed.
async fn end_programs(directory: &Path) -> BTreeSet<Pid> {
    let (servers, others): (Vec<_>, Vec<_>) = process::with_environment(MARK, directory)
        .into_iter()
        .partition(|pid| process::name(*pid) == "postgres");
    for pid in &others {
        process::send(*pid, Signal::SIGKILL);
    }
    for pid in &servers {
        process::send(*pid, Signal::SIGCONT);
    }
    let gone = async {
        while servers.iter().any(|pid| process::runs(*pid)) {
            tokio::time::sleep(POLL).await;
        }
    };
    if (tokio::time::timeout(POSTMASTER_LIMIT, gone).await).is_err() {
        for pid in process::with_environment(MARK, directory) {
            process::send(pid, Signal::SIGKILL);
        }
        tokio::time::sleep(POLL).await;
    }
    servers.into_iter().chain(others).collect()
}

/// Removes the shared memory that was left by processes that `ended` and by servers whose data lies
/// in `directory`.
fn remove_memory(directory: &Path, ended: BTreeSet<Pid>) {
    let begun = fs::metadata(directory.join(LOCK)).and_then(|lock| lock.modified());
    let servers = data_of(directory).filter_map(|data| server_of(&data));
    let creators = servers.chain(ended).collect();
    shm::remove_left(&creators, begun.unwrap_or(SystemTime::UNIX_EPOCH));
}

fn postmasters(directory: &Path) -> Vec<(Pid, PathBuf)> {
    data_of(directory)
        .filter_map(|data| Some((server_of(&data)?, data)))
        .filter(|(pid, data)| serves(*pid, data))
        .collect()
}

/// The data directories of a run.
fn data_of(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(directory.join(CLUSTERS));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

/// The server that works on `data`, or did so when it was killed.
fn server_of(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    // A stand-alone backend writes its number with a minus.
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    Some(Pid::from_raw(number.abs()))
}

/// Whether the process is a postmaster on `data`: it works there. Its number alone proves nothing,
/// another process may have it by now.
fn serves(pid: Pid, data: &Path) -> bool {
    process::working_directory(pid).is_some_and(|at| at == data)
}
