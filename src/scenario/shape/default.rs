//! What holds where a key is not written.

use crate::units::Period;

pub(super) const fn tenth_second() -> Period {
    Period::from_millis(100)
}

pub(super) const fn quarter_second() -> Period {
    Period::from_millis(250)
}

pub(super) const fn one_second() -> Period {
    Period::from_secs(1)
}

pub(super) const fn five_seconds() -> Period {
    Period::from_secs(5)
}

pub(super) const fn ten_seconds() -> Period {
    Period::from_secs(10)
}

pub(super) const fn thirty_seconds() -> Period {
    Period::from_secs(30)
}

pub(super) const fn one() -> u32 {
    1
}

pub(super) const fn once() -> u64 {
    1
}

pub(super) const fn five() -> u32 {
    5
}

pub(super) const fn many_connections() -> u32 {
    10_000
}

pub(super) fn any_loopback_port() -> String {
    "127.0.0.1:0".to_owned()
}

pub(super) fn metrics_path() -> String {
    "/metrics".to_owned()
}
