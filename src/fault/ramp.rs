//! Parameters that move from one value to another while a fault is in force.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::units::{ByteRate, Period, Rate, Share, Size};

/// The ways of parameters, by name.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ramp(pub BTreeMap<String, Way>);

/// The way of one parameter; a straight line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Way {
    /// Its value when the fault begins.
    pub from: Value,
    /// Its value when the fault ends.
    pub to: Value,
}

impl Ramp {
    /// Whether nothing moves.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values after `share` (from 0 to 1) of the time that the fault is in force.
    pub fn at(&self, share: f64) -> BTreeMap<String, Value> {
        let moved = self.0.iter().filter_map(|(name, way)| {
            let value = between(&way.from, &way.to, share)?;
            Some((name.clone(), value))
        });
        moved.collect()
    }
}

/// Whether a parameter with such a value can move.
pub fn is_quantity(value: &Value) -> bool {
    between(value, value, 0.0).is_some()
}

/// The value at `share` of the way between two quantities of one kind; `None` if they are none.
pub fn between(from: &Value, to: &Value, share: f64) -> Option<Value> {
    let mix = |from: f64, to: f64| from + (to - from) * share;
    match (from, to) {
        (Value::Number(from), Value::Number(to)) => {
            let value = mix(from.as_f64()?, to.as_f64()?);
            if from.is_u64() && to.is_u64() {
                return Some(whole(value).into());
            }
            serde_json::Number::from_f64(value).map(Value::Number)
        }
        (Value::String(from), Value::String(to)) => text(from, to, &mix).map(Value::String),
        _ => None,
    }
}

fn text(from: &str, to: &str, mix: &dyn Fn(f64, f64) -> f64) -> Option<String> {
    if let (Ok(from), Ok(to)) = (from.parse::<Period>(), to.parse::<Period>()) {
        let nanos = mix(from.as_nanos() as f64, to.as_nanos() as f64);
        return Some(Period(Duration::from_nanos(whole(nanos))).to_string());
    }
    if let (Ok(from), Ok(to)) = (from.parse::<Size>(), to.parse::<Size>()) {
        return Some(Size(whole(mix(from.0 as f64, to.0 as f64))).to_string());
    }
    if let (Ok(from), Ok(to)) = (from.parse::<Rate>(), to.parse::<Rate>()) {
        return Rate::per_second(mix(from.get(), to.get())).map(|rate| rate.to_string());
    }
    if let (Ok(from), Ok(to)) = (from.parse::<ByteRate>(), to.parse::<ByteRate>()) {
        let rate = mix(from.bytes_per_second() as f64, to.bytes_per_second() as f64);
        return Some(format!("{}B/s", whole(rate)));
    }
    if let (Ok(from), Ok(to)) = (from.parse::<Share>(), to.parse::<Share>()) {
        let share = Share::from_fraction(mix(from.fraction(), to.fraction()));
        return share.map(|share| share.to_string());
    }
    None
}

/// The nearest whole number; quantities are never below zero.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast from float to integer saturates"
)]
fn whole(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_of_one_kind_are_mixed_in_a_straight_line() {
        for (from, to, share, expected) in [
            (json!("10ms"), json!("1s"), 0.5, json!("505ms")),
            (json!("1s"), json!("0s"), 0.25, json!("750ms")),
            (json!("1KiB"), json!("3KiB"), 0.5, json!("2KiB")),
            (json!("10/s"), json!("60/min"), 0.5, json!("5.5/s")),
            (json!("1MB/s"), json!("1KB/s"), 1.0, json!("1000B/s")),
            (json!("0%"), json!("50%"), 0.2, json!("10%")),
            (json!(1), json!(4), 0.5, json!(3)),
            (json!(0.5), json!(1.5), 0.5, json!(1.0)),
        ] {
            assert_eq!(between(&from, &to, 0.0).is_some(), is_quantity(&from));
            assert_eq!(between(&from, &to, share), Some(expected), "{from} {to}");
        }
    }

    #[test]
    fn words_and_quantities_of_two_kinds_cannot_be_mixed() {
        assert_eq!(between(&json!("10ms"), &json!("1KiB"), 0.5), None);
        assert_eq!(between(&json!("10ms"), &json!(3), 0.5), None);
        assert!(!is_quantity(&json!("stall")));
        assert!(!is_quantity(&json!(["true"])));
    }

    #[test]
    fn only_what_moves_is_among_the_values() {
        let way = Way {
            from: json!("0s"),
            to: json!("100ms"),
        };
        let ramp = Ramp([("latency".to_owned(), way)].into());
        assert_eq!(ramp.at(0.3), [("latency".to_owned(), json!("30ms"))].into());
        assert!(Ramp::default().at(0.3).is_empty());
    }
}
