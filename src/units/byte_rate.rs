use std::fmt;
use std::str::FromStr;

use super::{UnitError, scaled};

/// Bytes per second that a person wrote, in bytes or in bits: `"1MB/s"`, `"512KiB/s"`, `"8Mbit/s"`.
/// Always above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(u64);

const UNITS: [(&str, f64); 13] = [
    ("GB/s", 1e9),
    ("GiB/s", 1_073_741_824.0),
    ("MB/s", 1e6),
    ("MiB/s", 1_048_576.0),
    ("KB/s", 1e3),
    ("kB/s", 1e3),
    ("KiB/s", 1_024.0),
    ("B/s", 1.0),
    ("Gbit/s", 1.25e8),
    ("Mbit/s", 1.25e5),
    ("kbit/s", 125.0),
    ("Kbit/s", 125.0),
    ("bit/s", 0.125),
];

impl ByteRate {
    /// Bytes per second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0
    }
}

impl FromStr for ByteRate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "`B/s`, `KB/s`, `KiB/s`, `MB/s`, `MiB/s`, `GB/s`, `GiB/s`, `kbit/s`, `Mbit/s`, `Gbit/s`";
        let rate = scaled(text, "1MB/s", &UNITS, units)?.round();
        if !(1.0..=1e12).contains(&rate) {
            return Err(UnitError::Range {
                text: text.to_owned(),
                range: "from 1B/s to 1000GB/s",
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: from 1 to 1e12"
        )]
        Ok(Self(rate as u64))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, scale) in [
            ("GB/s", 1_000_000_000),
            ("MB/s", 1_000_000),
            ("KB/s", 1_000),
        ] {
            if self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B/s", self.0)
    }
}

super::quantity_as_text!(
    ByteRate,
    "Bytes per second: a number and `B/s`, `KB/s`, `KiB/s`, `MB/s`, `MiB/s`, `GB/s`, `GiB/s`, `kbit/s`, `Mbit/s` or `Gbit/s`.",
    "1MB/s"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_rates_tell_bytes_from_bits() {
        assert_eq!("1MB/s".parse(), Ok(ByteRate(1_000_000)));
        assert_eq!("64 KiB/s".parse(), Ok(ByteRate(65_536)));
        assert_eq!("8Mbit/s".parse(), Ok(ByteRate(1_000_000)));
        assert_eq!("56kbit/s".parse(), Ok(ByteRate(7_000)));
        assert_eq!("56Kbit/s".parse(), "56kbit/s".parse::<ByteRate>());
        assert_eq!("64kB/s".parse(), "64KB/s".parse::<ByteRate>());
        assert!("0B/s".parse::<ByteRate>().is_err());
        assert!("1MB".parse::<ByteRate>().is_err());
        assert_eq!(ByteRate(187_500).to_string(), "187500B/s");
        assert_eq!(ByteRate(64_000).to_string(), "64KB/s");
    }

    #[test]
    fn a_rate_that_may_be_bytes_or_bits_is_asked_about() {
        for (text, meant) in [
            ("1Mb/s", "`MB/s` or `Mbit/s`"),
            ("1.5 mb/s", "`MB/s` or `Mbit/s`"),
            ("64kb/s", "`KB/s` or `kbit/s`"),
            ("8b/s", "`B/s` or `bit/s`"),
            ("1MB/S", "`MB/s`"),
            ("8MBIT/S", "`Mbit/s`"),
            ("64kib/s", "`KiB/s`"),
        ] {
            let error = text.parse::<ByteRate>().unwrap_err().to_string();
            let expected = format!("the unit {meant}, found `{text}`; the case of a unit counts");
            assert_eq!(error, expected);
        }
        assert!("1Mbps".parse::<ByteRate>().is_err());
        assert!("0.5bit/s".parse::<ByteRate>().is_err());
    }
}
