//! A timer of the kernel that a runtime can wait for.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

/// A timerfd: it fires within a tenth of a millisecond, where a runtime's own timers round up to
/// the next one.
#[derive(Debug)]
pub struct TimerFd {
    /// A runtime polls it like a socket: readable means fired.
    fd: UnixDatagram,
}

impl TimerFd {
    /// A timer that is not set. Must be called within a runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            fd: UnixDatagram::from_std(fd.into())?,
        })
    }

    /// Sets it to fire once after `delay`; an earlier setting is forgotten. Zero fires at once.
    pub fn set(&self, delay: Duration) -> io::Result<()> {
        let delay = delay.max(Duration::from_nanos(1));
        let value = Itimerspec {
            it_interval: Timespec::default(),
            it_value: Timespec::try_from(delay).map_err(io::Error::other)?,
        };
        timerfd_settime(self.fd.as_fd(), TimerfdTimerFlags::empty(), &value)?;
        Ok(())
    }

    /// Waits until it has fired. An earlier setting may have done so unseen, so whoever set it more
    /// than once has to look at the clock. Cancel safe.
    pub async fn fired(&self) -> io::Result<()> {
        self.fd.readable().await?;
        // The count of expirations need not be read, because the kernel tells a runtime of each
        // anew. It is enough to say that this one was seen, which `try_io` takes as `WouldBlock`.
        let seen = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        drop(self.fd.try_io(Interest::READABLE, seen));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Clock;

    #[tokio::test]
    async fn a_setting_fires_once_and_not_before_its_time() {
        let clock = Clock::start();
        let timer = TimerFd::new().unwrap();
        for _ in 0..3 {
            let due = clock.now() + Duration::from_millis(2);
            timer.set(due.since(clock.now())).unwrap();
            timer.fired().await.unwrap();
            assert!(clock.now() >= due);
        }
    }
}
