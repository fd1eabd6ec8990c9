//! What runs on this machine, as far as a test needs to know.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Processes that have `text` in their environment or command line, this one and its threads left
/// out.
pub(crate) fn with(text: &str) -> Vec<u32> {
    let mut found: Vec<u32> = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id())
        .filter(|pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                String::from_utf8_lossy(&bytes).contains(text)
            })
        })
        .collect();
    found.sort_unstable();
    found
}

/// The parent of a process.
pub(crate) fn parent(pid: u32) -> u32 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("PPid:"));
    line.unwrap()["PPid:".len()..].trim().parse().unwrap()
}

/// Waits until `condition` holds, at most `limit`; tells whether it came to hold.
pub(crate) async fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, holds).await.is_ok()
}

/// What the postmasters below a run's directory hold outside of it.
#[derive(Debug)]
pub(crate) struct Postmaster {
    pub pid: u32,
    /// Id of its System V shared memory segment.
    pub shared_memory: u32,
}

impl Postmaster {
    /// Every postmaster of the run in `directory`.
    pub(crate) fn all(directory: &Path) -> Vec<Self> {
        let data = fs::read_dir(directory.join("clusters"));
        let files = data
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path().join("postmaster.pid"));
        files.filter_map(|file| Self::read(&file)).collect()
    }

    fn read(file: &PathBuf) -> Option<Self> {
        let text = fs::read_to_string(file).ok()?;
        let lines: Vec<_> = text.lines().collect();
        Some(Self {
            // A server that initdb started says so by a minus.
            pid: lines.first()?.trim().trim_start_matches('-').parse().ok()?,
            shared_memory: lines.get(6)?.split_whitespace().nth(1)?.parse().ok()?,
        })
    }

    /// Whether its shared memory segment exists.
    pub(crate) fn has_shared_memory(&self) -> bool {
        let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        table.lines().skip(1).any(|line| {
            line.split_whitespace().nth(1) == Some(self.shared_memory.to_string().as_str())
        })
    }

    /// Whether a process has its id.
    pub(crate) fn runs(&self) -> bool {
        Path::new(&format!("/proc/{}", self.pid)).exists()
    }
}
