//! Quantities with their units: moments, periods, sizes, rates and shares.
//!
//! Everything that a person writes with a unit (`"250ms"`, `"64KiB"`, `"200/s"`, `"1%"`) is parsed
//! here and nowhere else. Nothing in this module performs I/O except [`Clock::start`], which reads
//! the clocks of the machine once.

mod byte_rate;
mod moment;
mod period;
mod rank;
mod rate;
mod reach;
mod share;
mod size;

pub use byte_rate::ByteRate;
pub use moment::{Clock, Moment};
pub use period::Period;
pub use rank::nearest_rank;
pub use rate::Rate;
pub use reach::Reach;
pub use share::Share;
pub use size::Size;

/// Why a text is not a quantity. Each variant's text fits after "expected …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// The number in front of the unit is missing or malformed.
    #[error("a number with a unit such as `{example}`, found `{text}`")]
    Number {
        /// What was written.
        text: String,
        /// A well-formed quantity of the same kind.
        example: &'static str,
    },
    /// The unit is missing or unknown.
    #[error("one of the units {units} after the number, found `{text}`")]
    Unit {
        /// What was written.
        text: String,
        /// The units that would be accepted.
        units: &'static str,
    },
    /// The unit is one of those accepted but for its case, or may be bits as well as bytes.
    #[error("the unit {meant}, found `{text}`; the case of a unit counts")]
    Case {
        /// What was written.
        text: String,
        /// The units that may have been meant.
        meant: String,
    },
    /// A part of what has no parts.
    #[error("a whole number of `{unit}`, found `{text}`")]
    Part {
        /// What was written.
        text: String,
        /// The smallest unit.
        unit: &'static str,
    },
    /// The quantity lies outside what it may be.
    #[error("a value {range}, found `{text}`")]
    Range {
        /// What was written.
        text: String,
        /// The range that would be accepted.
        range: &'static str,
    },
}

/// The number in `text` times the scale of its unit.
fn scaled(
    text: &str,
    example: &'static str,
    scales: &[(&'static str, f64)],
    units: &'static str,
) -> Result<f64, UnitError> {
    let (value, unit) = split(text, example)?;
    match scales.iter().find(|(name, _)| *name == unit) {
        Some((unit, scale)) if *scale <= 1.0 && value.fract() > 0.0 => {
            let text = text.to_owned();
            Err(UnitError::Part { text, unit })
        }
        Some((_, scale)) => Ok(value * scale),
        None => Err(unknown_unit(text, unit, scales, units)),
    }
}

/// `1Mb/s` is a megabyte to some people and a megabit to others: so it is refused with a question.
fn unknown_unit(
    text: &str,
    unit: &str,
    scales: &[(&'static str, f64)],
    units: &'static str,
) -> UnitError {
    let may_be_bits = unit.contains('b');
    let is_meant = |name: &str| {
        name.eq_ignore_ascii_case(unit)
            || (may_be_bits && name.replace("bit", "b").eq_ignore_ascii_case(unit))
    };
    let mut near: Vec<_> = scales.iter().filter(|(name, _)| is_meant(name)).collect();
    // Two spellings of one unit stand side by side.
    near.dedup_by_key(|(_, scale)| scale);
    let near = near.iter().map(|(name, _)| format!("`{name}`"));
    let meant = near.collect::<Vec<_>>().join(" or ");
    let text = text.to_owned();
    if meant.is_empty() {
        UnitError::Unit { text, units }
    } else {
        UnitError::Case { text, meant }
    }
}

/// Splits `"250ms"` into `(250.0, "ms")`; blanks between the two are allowed.
fn split<'a>(text: &'a str, example: &'static str) -> Result<(f64, &'a str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    match number.replace('_', "").parse::<f64>() {
        Ok(value) if value.is_finite() => Ok((value, unit.trim())),
        _ => Err(UnitError::Number {
            text: text.to_owned(),
            example,
        }),
    }
}

/// Implements `Display`-based serde and a string JSON schema for a quantity with `FromStr`.
macro_rules! quantity_as_text {
    ($type:ident, $description:literal, $example:literal) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse()
                    .map_err(|error| serde::de::Error::custom(format_args!("expected {error}")))
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "description": $description,
                    "examples": [$example],
                })
            }
        }
    };
}
use quantity_as_text;
