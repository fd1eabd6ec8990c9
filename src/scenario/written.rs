//! Values that may be written in more than one form.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

use crate::units::Period;

/// One name, or a list of names.
#[derive(Debug, Default)]
pub(super) struct Names(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Names, E> {
                Ok(Names(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = items.next_element()? {
                    names.push(name);
                }
                if names.is_empty() {
                    return Err(A::Error::custom("names nothing"));
                }
                Ok(Names(names))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for Names {
    fn schema_name() -> Cow<'static, str> {
        "Names".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" }, "minItems": 1 },
        ] })
    }
}

/// A moment of the schedule.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    /// `before-start`: before any service is started.
    BeforeStart,
    /// So long after time zero, or after what another key names.
    After(Period),
}

/// How [`At::BeforeStart`] is written.
const BEFORE_START: &str = "before-start";

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == BEFORE_START {
            return Ok(Self::BeforeStart);
        }
        let period = text.parse::<Period>();
        period
            .map(Self::After)
            .map_err(|error| D::Error::custom(format_args!("expected {error}")))
    }
}

impl JsonSchema for At {
    fn schema_name() -> Cow<'static, str> {
        "At".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["15s", BEFORE_START] })
    }
}

/// From one length of time to another, as in `3s..8s`; a single one stands for itself.
#[derive(Debug, Clone)]
pub(super) struct Between(pub(super) RangeInclusive<Duration>);

impl<'de> Deserialize<'de> for Between {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (from, to) = text.split_once("..").unwrap_or((&text, &text));
        let period = |text: &str| {
            let period = text.parse::<Period>();
            period.map_err(|error| D::Error::custom(format_args!("expected {error}")))
        };
        let (from, to) = (period(from)?, period(to)?);
        if from > to {
            return Err(D::Error::custom(format!("{from} is more than {to}")));
        }
        Ok(Self(from.get()..=to.get()))
    }
}

impl JsonSchema for Between {
    fn schema_name() -> Cow<'static, str> {
        "Between".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["3s..8s"] })
    }
}
