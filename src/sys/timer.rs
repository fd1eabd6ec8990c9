//! A timer of the kernel that a runtime can wait for.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::net::unix::pipe::Receiver;

/// A timerfd: it fires within a tenth of a millisecond, where a runtime's own timers round up to
/// the next one.
#[derive(Debug)]
pub struct TimerFd {
    /// A runtime polls it like a pipe: readable means fired.
    fd: Receiver,
}

impl TimerFd {
    /// A timer that is not set. Must be called within a runtime.
    pub fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self {
            fd: Receiver::from_owned_fd_unchecked(fd)?,
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

    /// Waits until it has fired. Cancel safe.
    pub async fn fired(&self) -> io::Result<()> {
        loop {
            self.fd.readable().await?;
            let mut expirations = [0; 8];
            match self.fd.try_read(&mut expirations) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}
