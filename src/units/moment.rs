#![expect(
    clippy::disallowed_types,
    reason = "the one place that reads the monotonic clock"
)]

use std::fmt;
use std::ops::Add;
use std::time::Duration;

use nix::time::ClockId;
use serde::{Deserialize, Serialize};

/// A point on the one monotonic axis: nanoseconds since [`Clock::start`].
///
/// Moments of one run can be compared and subtracted; moments of two runs cannot.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Moment(u64);

impl Moment {
    /// The moment at which the clock was started.
    pub const ZERO: Self = Self(0);
    /// Later than every moment that a clock can read.
    pub const MAX: Self = Self(u64::MAX);

    /// A moment `nanos` nanoseconds after the start.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the start.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds from `origin` to `self`, negative if `self` is earlier.
    pub fn seconds_from(self, origin: Self) -> f64 {
        if self >= origin {
            self.since(origin).as_secs_f64()
        } else {
            -origin.since(self).as_secs_f64()
        }
    }

    /// The moment `by` before this one, at the earliest [`Moment::ZERO`].
    #[must_use]
    pub fn before(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(by)))
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, by: Duration) -> Self {
        Self(self.0.saturating_add(nanos(by)))
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", Duration::from_nanos(self.0).as_secs_f64())
    }
}

/// Saturates after 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// The one clock of a process: started once, copied where the time is needed.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: std::time::Instant,
    origin_nanos: u64,
    wall: jiff::Timestamp,
    #[cfg(test)]
    follows_tokio: bool,
}

impl Clock {
    /// Reads the monotonic and the wall clock; the moment of this call is [`Moment::ZERO`].
    pub fn start() -> Self {
        Self {
            origin: std::time::Instant::now(),
            origin_nanos: monotonic(),
            wall: jiff::Timestamp::now(),
            #[cfg(test)]
            follows_tokio: false,
        }
    }

    /// A clock that stands still where tokio's does: for tests in virtual time.
    #[cfg(test)]
    pub(crate) fn of_tokio() -> Self {
        Self {
            origin: tokio::time::Instant::now().into_std(),
            follows_tokio: true,
            ..Self::start()
        }
    }

    /// The present moment.
    pub fn now(&self) -> Moment {
        #[cfg(test)]
        if self.follows_tokio {
            let now = tokio::time::Instant::now().into_std();
            return Moment(nanos(now.duration_since(self.origin)));
        }
        Moment(monotonic() - self.origin_nanos)
    }

    /// The wall-clock time at which the clock was started.
    pub const fn started_at(&self) -> jiff::Timestamp {
        self.wall
    }

    /// The instant that tokio's timers understand for `moment`.
    pub fn instant(&self, moment: Moment) -> std::time::Instant {
        self.origin + Duration::from_nanos(moment.0.min(u64::MAX / 4))
    }
}

/// The clock of [`std::time::Instant`], read without the detour over its arithmetic: data paths
/// read it for every piece.
fn monotonic() -> u64 {
    let time = ClockId::CLOCK_MONOTONIC.now();
    let time = time.expect("every Linux has this clock");
    time.tv_sec().cast_unsigned() * 1_000_000_000 + time.tv_nsec().cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_ordered_and_subtract_without_underflow() {
        let early = Moment::from_nanos(1_000);
        let late = early + Duration::from_micros(2);
        assert!(late > early);
        assert_eq!(late.since(early), Duration::from_micros(2));
        assert_eq!(early.since(late), Duration::ZERO);
        assert!((early.seconds_from(late) + 2e-6).abs() < 1e-12);
        assert_eq!(early.before(Duration::from_secs(1)), Moment::ZERO);
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
