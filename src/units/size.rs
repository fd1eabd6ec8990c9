use std::fmt;
use std::str::FromStr;

use super::{UnitError, scaled};

/// A number of bytes that a person wrote: `"64KiB"`, `"1MB"`, `"512B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(pub u64);

const UNITS: [(&str, f64); 8] = [
    ("GiB", 1_073_741_824.0),
    ("GB", 1e9),
    ("MiB", 1_048_576.0),
    ("MB", 1e6),
    ("KiB", 1_024.0),
    ("KB", 1e3),
    ("kB", 1e3),
    ("B", 1.0),
];

impl FromStr for Size {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let units = "`B`, `KB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`";
        let bytes = scaled(text, "64KiB", &UNITS, units)?;
        if bytes > 1e15 {
            return Err(UnitError::Range {
                text: text.to_owned(),
                range: "of at most 1000000GB",
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: not negative, at most 1e15"
        )]
        Ok(Self(bytes.round() as u64))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, scale) in [
            ("GiB", 1 << 30),
            ("GB", 1_000_000_000),
            ("MiB", 1 << 20),
            ("MB", 1_000_000),
            ("KiB", 1 << 10),
            ("KB", 1_000),
        ] {
            if self.0 >= scale && self.0.is_multiple_of(scale) {
                return write!(f, "{}{unit}", self.0 / scale);
            }
        }
        write!(f, "{}B", self.0)
    }
}

super::quantity_as_text!(
    Size,
    "A number of bytes: a number and `B`, `KB`, `KiB`, `MB`, `MiB`, `GB` or `GiB`.",
    "64KiB"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_tell_binary_from_decimal_units() {
        assert_eq!("64KiB".parse(), Ok(Size(65_536)));
        assert_eq!("64kB".parse(), Ok(Size(64_000)));
        assert_eq!("1.5MiB".parse(), Ok(Size(1_572_864)));
        assert!("64".parse::<Size>().is_err());
        assert_eq!(Size(65_536).to_string(), "64KiB");
        assert_eq!(Size(1_001).to_string(), "1001B");
        assert_eq!(Size(0).to_string(), "0B");
    }

    #[test]
    fn a_byte_has_no_parts_and_is_no_bit() {
        let refused = |text: &str| text.parse::<Size>().unwrap_err().to_string();
        assert_eq!(refused("1.5B"), "a whole number of `B`, found `1.5B`");
        assert_eq!(
            refused("64Kib"),
            "the unit `KiB`, found `64Kib`; the case of a unit counts"
        );
        assert!(refused("64kb").starts_with("the unit `KB`, found"));
        assert!(refused("8Mbit").starts_with("one of the units"));
    }
}
