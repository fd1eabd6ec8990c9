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
const MINUTE: u128 = 60_000_000_000;
const HOUR: u128 = 60 * MINUTE;
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
        let read = |text| scaled(text, EXAMPLE, &UNITS, units).map(f64::round);
        // What is wrong is said of the text as it was written, not of a part.
        let nanos = match parts(text).map(read).sum::<Result<f64, _>>() {
            Ok(nanos) => nanos,
            Err(_) => read(text)?,
        };
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
        Ok(Self(Duration::from_nanos(nanos as u64)))
    }
}

/// `1h 2min 0.5s` as its parts; at least one.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let unit = text.find(char::is_alphabetic).unwrap_or(text.len());
        let next = text[unit..].find(|c: char| c.is_ascii_digit());
        let (part, behind) = text.split_at(next.map_or(text.len(), |next| unit + next));
        rest = (!behind.is_empty()).then_some(behind);
        Some(part)
    })
}

impl fmt::Display for Period {
    /// The largest unit that divides the period, or several from the largest down; parsing gives
    /// the same period back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        let whole = |unit: u128| nanos >= unit && nanos.is_multiple_of(unit);
        match nanos {
            0 => f.write_str("0s"),
            _ if whole(HOUR) => write!(f, "{}h", nanos / HOUR),
            _ if whole(MINUTE) && nanos < HOUR => write!(f, "{}min", nanos / MINUTE),
            _ if nanos < 2 * MINUTE => decimal(f, nanos),
            _ => {
                if nanos >= HOUR {
                    write!(f, "{}h ", nanos / HOUR)?;
                }
                let (minutes, rest) = (nanos % HOUR / MINUTE, nanos % MINUTE);
                match (minutes, rest) {
                    (0, _) => decimal(f, rest),
                    (_, 0) => write!(f, "{minutes}min"),
                    _ => {
                        write!(f, "{minutes}min ")?;
                        decimal(f, rest)
                    }
                }
            }
        }
    }
}

/// `1.5s`, `12.25ms`: the largest unit that is not more, from seconds down.
fn decimal(f: &mut fmt::Formatter<'_>, nanos: u128) -> fmt::Result {
    let units = [
        ("s", 1_000_000_000, 9),
        ("ms", 1_000_000, 6),
        ("us", 1_000, 3),
    ];
    let unit = units.into_iter().find(|(_, scale, _)| nanos >= *scale);
    let (unit, scale, digits) = unit.unwrap_or(("ns", 1, 0));
    let (before, behind) = (nanos / scale, nanos % scale);
    let behind = format!(".{behind:0digits$}");
    write!(f, "{before}{}{unit}", behind.trim_end_matches(['0', '.']))
}

super::quantity_as_text!(
    Period,
    "A length of time: a number and `ns`, `us`, `ms`, `s`, `min` or `h`; or several of them, as in `1h 30min`.",
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
        check("1h 30min", Duration::from_mins(90));
        check("99h0.5s", Duration::from_millis(356_400_500));
        assert!("1h 30".parse::<Period>().is_err());
        assert!("1h-30min".parse::<Period>().is_err());
    }

    #[test]
    fn periods_are_shown_as_people_would_write_them() {
        let shown = |nanos| Period(Duration::from_nanos(nanos)).to_string();
        let ms = |ms: u64| shown(ms * 1_000_000);
        for (found, expected) in [
            (ms(1_500), "1.5s"),
            (ms(250), "250ms"),
            (shown(1_500), "1.5us"),
            (shown(999), "999ns"),
            (shown(1_000_000_005), "1.000000005s"),
            (ms(60_000), "1min"),
            (ms(80_000), "80s"),
            (ms(12_078), "12.078s"),
            (ms(150_000), "2min 30s"),
            (ms(5_400_000), "1h 30min"),
            (ms(7_200_000), "2h"),
            (ms(356_400_500), "99h 500ms"),
            (ms(3_723_500), "1h 2min 3.5s"),
        ] {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_period_without_unit_is_refused_with_the_units_that_would_do() {
        let error = "250".parse::<Period>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "one of the units `ns`, `us`, `ms`, `s`, `min`, `h` after the number, found `250`"
        );
        assert_eq!(
            "250MS".parse::<Period>().unwrap_err().to_string(),
            "the unit `ms`, found `250MS`; the case of a unit counts"
        );
        assert!("1.5ns".parse::<Period>().is_err());
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
