use std::fmt;
use std::str::FromStr;

use super::{UnitError, split};

/// A part of a whole that a person wrote: `"20%"` is 0.2. From 0 % to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Share(f64);

impl Share {
    /// Nothing.
    pub const NONE: Self = Self(0.0);
    /// The whole.
    pub const ALL: Self = Self(1.0);

    /// The share as a fraction from 0 to 1.
    pub const fn fraction(self) -> f64 {
        self.0
    }

    /// `fraction` of the whole; `None` outside 0 to 1.
    pub fn from_fraction(fraction: f64) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then_some(Self(fraction))
    }
}

impl FromStr for Share {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (value, unit) = split(text, "20%")?;
        if unit != "%" {
            return Err(UnitError::Unit {
                text: text.to_owned(),
                units: "`%`",
            });
        }
        Self::from_fraction(value / 100.0).ok_or_else(|| UnitError::Range {
            text: text.to_owned(),
            range: "from 0% to 100%",
        })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One rounding step, so that 0.07 is shown as 7% and not as 7.000000000000001%.
        write!(f, "{}%", (self.0 * 1e8).round() / 1e6)
    }
}

super::quantity_as_text!(Share, "A share from `0%` to `100%`.", "20%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percentages_from_0_to_100() {
        assert_eq!("20%".parse::<Share>().unwrap(), Share(0.2));
        assert_eq!("7%".parse::<Share>().unwrap().to_string(), "7%");
        assert_eq!("0.5%".parse::<Share>().unwrap().to_string(), "0.5%");
        assert!("120%".parse::<Share>().is_err());
        assert!("0.2".parse::<Share>().is_err());
    }
}
