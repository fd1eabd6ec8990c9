//! A declared reconnection policy: which delays it allows, and how many attempts it makes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::Share;

/// How the delay grows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Each delay is the last one times the factor, up to the maximum.
    #[default]
    Exponential,
    /// Every delay is the base.
    Constant,
}

/// How a delay is spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// By up to this share to either side.
    Around(Share),
    /// From half the delay to all of it.
    Equal,
    /// From nothing to the delay.
    Full,
    /// From the base to three times the last delay.
    Decorrelated,
}

impl FromStr for Jitter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => Ok(Self::None),
            "equal" => Ok(Self::Equal),
            "full" => Ok(Self::Full),
            "decorrelated" => Ok(Self::Decorrelated),
            share => share.parse().map(Self::Around).map_err(|_| {
                format!(
                    "expected `none`, `equal`, `full`, `decorrelated` or a share such as `20%`, \
                     found `{share}`"
                )
            }),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Around(share) => share.fmt(f),
            Self::Equal => f.write_str("equal"),
            Self::Full => f.write_str("full"),
            Self::Decorrelated => f.write_str("decorrelated"),
        }
    }
}

impl TryFrom<String> for Jitter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Jitter> for String {
    fn from(jitter: Jitter) -> Self {
        jitter.to_string()
    }
}

impl schemars::JsonSchema for Jitter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Jitter".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`none`, `equal`, `full`, `decorrelated`, or a share to either side.",
            "examples": ["20%"],
        })
    }
}
