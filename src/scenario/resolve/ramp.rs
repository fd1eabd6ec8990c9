//! Parameters that move while a fault is in force.

use serde_json::{Map, Value};

use crate::diag::Diagnostic;
use crate::fault::ramp::{Way, between, is_quantity};
use crate::fault::{BuildError, Kind, Ramp};
use crate::scenario::block::Block;
use crate::scenario::{mistake, schema, shape};

/// What the `ramp` of a fault says; the values that it starts from are its `params` or their
/// defaults.
pub(super) fn ramp(
    block: &Block,
    shape: &shape::Fault,
    kind: &Kind,
    params: &Value,
    out: &mut Vec<Diagnostic>,
) -> Ramp {
    let mut ramp = Ramp::default();
    if shape.ramp.is_empty() {
        return ramp;
    }
    let schema = schema::inlined((kind.schema)().to_value());
    for (name, to) in &shape.ramp {
        match way(block, name, &schema["properties"], params, to) {
            Ok(way) => drop(ramp.0.insert(name.clone(), way)),
            Err(mistake) => out.push(*mistake),
        }
    }
    out.extend(refused_at_its_end(block, kind, params, &ramp));
    ramp
}

fn way(
    block: &Block,
    name: &str,
    known: &Value,
    params: &Value,
    to: &Value,
) -> Result<Way, Box<Diagnostic>> {
    let from = params.get(name).or_else(|| known[name].get("default"));
    let Some(from) = from.filter(|from| !from.is_null()) else {
        return Err(Box::new(mistake::schedule::from_nowhere(block, name)));
    };
    if !is_quantity(from) {
        let movable = schema::movable(known);
        return Err(Box::new(mistake::schedule::not_movable(
            block, name, &movable,
        )));
    }
    if between(from, to, 0.5).is_none() {
        return Err(Box::new(mistake::schedule::other_quantity(
            block, name, from,
        )));
    }
    Ok(Way {
        from: from.clone(),
        to: to.clone(),
    })
}

/// What the kind has against the values at the end of the ramp. Between two values that it takes it
/// takes every one.
fn refused_at_its_end(
    block: &Block,
    kind: &Kind,
    params: &Value,
    ramp: &Ramp,
) -> Option<Diagnostic> {
    // What is wrong at its beginning was reported already.
    (kind.build)(params).ok()?;
    let mut end: Map<_, _> = params.as_object().cloned().unwrap_or_default();
    end.extend(ramp.at(1.0));
    let error = (kind.build)(&Value::Object(end)).err()?;
    let at = match &error {
        BuildError::Value { key, .. } if ramp.0.contains_key(*key) => format!("ramp.{key}"),
        BuildError::Value { .. } | BuildError::Shape(_) => "ramp".to_owned(),
    };
    Some(mistake::refused(block, &at, &error.to_string()))
}
