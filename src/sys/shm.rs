//! System V shared memory: a segment outlives a process that is killed.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use nix::unistd::Pid;

/// A segment, as the kernel lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    id: i32,
    creator: Pid,
    /// Processes that use it.
    attached: u64,
    /// With the precision of a second.
    created: SystemTime,
}

/// Removes what `creators`, which have ended, made since a moment and left behind; what any process
/// still uses stays. `ipcrm` does it: the system call has no safe binding.
pub fn remove_left(creators: &BTreeSet<Pid>, since: SystemTime) {
    let list = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    for segment in list.lines().filter_map(segment_in) {
        if is_left(&segment, creators, since) {
            let mut ipcrm = Command::new("ipcrm");
            ipcrm.arg("-m").arg(segment.id.to_string());
            // One that is gone already is fine, and one that cannot be removed cannot be helped.
            drop(ipcrm.stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

/// A number of a process may have belonged to another one before: that one's memory is older.
fn is_left(segment: &Segment, creators: &BTreeSet<Pid>, since: SystemTime) -> bool {
    segment.attached == 0
        && creators.contains(&segment.creator)
        && segment.created + Duration::from_secs(1) > since
}

/// A line of `/proc/sysvipc/shm`: key shmid perms size cpid lpid nattch uid gid cuid cgid atime
/// dtime ctime.
fn segment_in(line: &str) -> Option<Segment> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let seconds = fields.get(13)?.parse().ok()?;
    Some(Segment {
        id: fields.get(1)?.parse().ok()?,
        creator: Pid::from_raw(fields.get(4)?.parse().ok()?),
        attached: fields.get(6)?.parse().ok()?,
        created: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "   5432001      41   600   56  1970  1971      0   101   103   101   103  0  0  1700000000  56  0";

    #[test]
    fn a_segment_is_left_if_its_maker_is_ours_and_nobody_uses_it() {
        let segment = segment_in(LINE).unwrap();
        assert_eq!((segment.id, segment.creator.as_raw()), (41, 1970));
        let created = segment.created;
        let ours = BTreeSet::from([Pid::from_raw(1970)]);
        let left = |segment, since| is_left(&segment, &ours, since);
        assert!(left(segment, created + Duration::from_millis(900)));
        assert!(!left(segment, created + Duration::from_secs(1)), "older");
        let used = Segment {
            attached: 1,
            ..segment
        };
        assert!(!left(used, created));
        assert!(!is_left(&segment, &BTreeSet::new(), created));
        assert_eq!(segment_in("key shmid perms size cpid"), None);
    }
}
