use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{UnitError, split};

/// Events per second that a person wrote: `"200/s"`, `"30/min"`. Always above zero.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Rate(f64);

impl Rate {
    /// A rate of `per_second` events a second; `None` unless finite and above zero.
    pub fn per_second(per_second: f64) -> Option<Self> {
        (per_second.is_finite() && per_second > 0.0).then_some(Self(per_second))
    }

    /// Events per second.
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The time between two events at this rate.
    pub fn interval(self) -> Duration {
        Duration::from_secs_f64(1.0 / self.0)
    }
}

impl FromStr for Rate {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (value, unit) = split(text, "200/s")?;
        let per_second = match unit {
            "/s" => value,
            "/min" => value / 60.0,
            "/h" => value / 3600.0,
            _ => {
                return Err(UnitError::Unit {
                    text: text.to_owned(),
                    units: "`/s`, `/min`, `/h`",
                });
            }
        };
        Self::per_second(per_second)
            .filter(|rate| rate.0 >= 1e-4 && rate.0 <= 1e6)
            .ok_or_else(|| UnitError::Range {
                text: text.to_owned(),
                range: "from 0.0001/s to 1000000/s",
            })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

super::quantity_as_text!(
    Rate,
    "Events per time: a number and `/s`, `/min` or `/h`.",
    "200/s"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_per_second_minute_and_hour() {
        assert_eq!(
            "200/s".parse::<Rate>().unwrap().interval(),
            Duration::from_millis(5)
        );
        assert!(("30/min".parse::<Rate>().unwrap().get() - 0.5).abs() < 1e-12);
        assert!("0/s".parse::<Rate>().is_err());
        assert!("200".parse::<Rate>().is_err());
    }
}
