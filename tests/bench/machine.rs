//! What processes took of the machine, read from `/proc`.

use std::fs;
use std::time::Duration;

use chaosproxy::sys::process::descendants;
use nix::unistd::Pid;

/// A process and all its descendants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Family(Pid);

impl Family {
    pub(crate) fn of(root: u32) -> Self {
        Self(Pid::from_raw(root.cast_signed()))
    }

    /// Time that the threads that live now have spent on a core, in user and in kernel mode.
    ///
    /// From `schedstat`, which counts nanoseconds; `stat` counts hundredths of a second.
    pub(crate) fn cpu(self) -> Duration {
        let nanos = self.members().into_iter().flat_map(|pid| {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"));
            tasks.into_iter().flatten().flatten().filter_map(|task| {
                let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<u64>().ok()
            })
        });
        Duration::from_nanos(nanos.sum())
    }

    /// Resident memory in bytes.
    pub(crate) fn memory(self) -> u64 {
        let pages = self.members().into_iter().filter_map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        });
        pages.sum::<u64>() * 1024
    }

    fn members(self) -> Vec<Pid> {
        let mut members = descendants(self.0, &[]);
        members.push(self.0);
        members
    }
}

/// The machine in one line.
pub(crate) fn describe() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |rest| {
            rest.trim_start_matches(['\t', ' ', ':'])
        });
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores ({model}), Linux {}", kernel.trim())
}
