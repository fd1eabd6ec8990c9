use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::time::Duration;

use super::{UnitError, scaled};

const EXAMPLE: &str = "250ms";
const UNITS: [(&str, f64); 7] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("min", 6e10),
    ("h", 3.6e12),
];
/// A hundred days: longer than any experiment, short enough never to overflow a moment.
const LONGEST_NS: f64 = 8.64e15;

/// A length of time that a person wrote: `"250ms"`, `"1.5s"`, `"2min"`, `"1h"`, `"0s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Period(pub Duration);

impl Period {
    /// A period of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    /// A period of `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(Duration::from_secs(s))
    }

    /// The period as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl Deref for Period {
    type Target = Duration;

    fn deref(&self) -> &Duration {
        &self.0
    }
}

impl From<Period> for Duration {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl FromStr for Period {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "`ns`, `us`, `ms`, `s`, `min`, `h`";
        let nanos = scaled(text, EXAMPLE, &UNITS, units)?;
        if nanos > LONGEST_NS {
            return Err(UnitError::Range {
                text: text.to_owned(),
                range: "of at most 100 days",
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: not negative, at most 8.64e15"
        )]
        Ok(Self(Duration::from_nanos(nanos.round() as u64)))
    }
}

impl fmt::Display for Period {
    /// The largest unit that divides the period, so that parsing gives the same period back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit, scale) in [
            ("h", 3_600_000_000_000),
            ("min", 60_000_000_000),
            ("s", 1_000_000_000),
            ("ms", 1_000_000),
            ("us", 1_000),
        ] {
            if nanos >= scale && nanos.is_multiple_of(scale) {
                return write!(f, "{}{unit}", nanos / scale);
            }
        }
        if nanos == 0 {
            return f.write_str("0s");
        }
        write!(f, "{nanos}ns")
    }
}

super::quantity_as_text!(
    Period,
    "A length of time: a number and `ns`, `us`, `ms`, `s`, `min` or `h`.",
    "250ms"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Duration) {
        assert_eq!(
            text.parse::<Period>().map(Period::get),
            Ok(expected),
            "{text}"
        );
    }

    #[test]
    fn periods_are_read_with_their_unit() {
        check("250ms", Duration::from_millis(250));
        check("1.5s", Duration::from_millis(1500));
        check("2 min", Duration::from_secs(120));
        check("1h", Duration::from_secs(3600));
        check("0s", Duration::ZERO);
    }

    #[test]
    fn a_period_without_unit_is_refused_with_the_units_that_would_do() {
        let error = "250".parse::<Period>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "one of the units `ns`, `us`, `ms`, `s`, `min`, `h` after the number, found `250`"
        );
        assert!("fast".parse::<Period>().is_err());
        assert!("-1s".parse::<Period>().is_err());
        assert!("1000000h".parse::<Period>().is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_is_displayed_parses_to_the_same_period(nanos in 0_u64..8_000_000_000_000_000) {
            let period = Period(Duration::from_nanos(nanos));
            let shown = period.to_string();
            let read: Period = shown.parse().unwrap();
            // f64 carries 53 bits: exact up to 2^53 ns, about 104 days.
            proptest::prop_assert_eq!(read, period);
        }
    }
}
