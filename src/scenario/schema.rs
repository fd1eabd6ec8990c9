//! JSON Schema, from the same types that read the file.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde_json::{Map, Value, json};

use super::block::{Arity, BLOCKS};
use super::shape;
use crate::fault::ramp;
use crate::{check, fault};

/// The JSON Schema of scenario files, for editors.
pub fn schema() -> Value {
    let mut properties = Map::new();
    for (name, arity) in BLOCKS {
        let block = block(name);
        let schema = match arity {
            Arity::One => block,
            Arity::Many => json!({ "type": "array", "items": block }),
        };
        properties.insert((*name).to_owned(), schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "chaosproxy scenario",
        "description": "One experiment: what runs, where chaosproxy stands, what goes wrong when, and what must hold.",
        "type": "object",
        "properties": properties,
        "required": ["scenario"],
        "additionalProperties": false,
    })
}

fn block(name: &str) -> Value {
    match name {
        "scenario" => of::<shape::Scenario>(),
        "database" => of::<shape::Database>(),
        "proxy" => of::<shape::Proxy>(),
        "service" => of::<shape::Service>(),
        "workload" => one_of([http_workload(), job_workload()]),
        "ledger" => of::<shape::Ledger>(),
        "probe" => of::<shape::Probe>(),
        "steady_state" => of::<shape::SteadyState>(),
        "fault" => one_of(fault::kinds().iter().map(fault).chain([catalogued()])),
        "chaos" => of::<shape::Chaos>(),
        "blast_radius" => of::<shape::BlastRadius>(),
        "abort_condition" => of::<shape::AbortCondition>(),
        "limits" => of::<check::Limits>(),
        "check" => one_of(check::kinds().iter().map(check)),
        "report" => of::<shape::Report>(),
        _ => json!(true),
    }
}

fn one_of(options: impl IntoIterator<Item = Value>) -> Value {
    json!({ "oneOf": options.into_iter().collect::<Vec<_>>() })
}

fn http_workload() -> Value {
    let mut schema = of::<shape::HttpWorkload>();
    schema["properties"]["kind"] = json!({ "const": "http", "default": "http" });
    schema
}

fn job_workload() -> Value {
    let mut schema = of::<shape::JobWorkload>();
    schema["properties"]["kind"] = json!({ "const": "job" });
    schema
}

/// A fault block of one kind: the common keys and the kind's parameters.
fn fault(kind: &fault::Kind) -> Value {
    let params = inlined((kind.schema)().to_value());
    let ramp = ramp_of(kind, &params["properties"]);
    let mut schema = merge(of::<shape::Fault>(), params);
    schema["description"] = json!(kind.summary);
    schema["properties"]["ramp"]["properties"] = ramp;
    schema["properties"]["ramp"]["additionalProperties"] = json!(false);
    let properties = schema["properties"].as_object_mut();
    if let Some(properties) = properties {
        properties.remove("use");
        properties.insert(
            "type".to_owned(),
            json!({ "const": kind.name, "description": kind.story }),
        );
    }
    require(&mut schema, "type");
    aim(&mut schema, kind);
    schema
}

/// Leaves only the ways to aim that the kind has. Faults on messages see both directions.
fn aim(schema: &mut Value, kind: &fault::Kind) {
    let subject = kind.subject;
    let has_target = !subject.blocks().is_empty();
    let ways = schema["properties"]["ramp"]["properties"].as_object();
    let can_move = ways.is_some_and(|ways| ways.values().any(|schema| *schema != false));
    if has_target {
        require(schema, "target");
    }
    if let Some(properties) = schema["properties"].as_object_mut() {
        let of_connections = subject == fault::Subject::Connections;
        properties.retain(|key, _| match key.as_str() {
            "target" => has_target,
            "percent" | "affect" | "match" => of_connections,
            "direction" => of_connections && kind.speaks.is_none(),
            "ramp" => of_connections && can_move,
            _ => true,
        });
    }
}

/// The parameters that can move, and `false` for the others.
fn ramp_of(kind: &fault::Kind, params: &Value) -> Value {
    let params = params.as_object().into_iter().flatten();
    let moves = |schema: &Value| {
        if kind.ramps && moves(schema) {
            schema.clone()
        } else {
            json!(false)
        }
    };
    params
        .map(|(name, schema)| (name.clone(), moves(schema)))
        .collect::<Map<_, _>>()
        .into()
}

/// The names of the parameters that can move.
pub(super) fn movable(params: &Value) -> Vec<&str> {
    let params = params.as_object().into_iter().flatten();
    let movable = params.filter(|(_, schema)| moves(schema));
    movable.map(|(name, _)| name.as_str()).collect()
}

/// Whether values like this are numbers or quantities, as their example shows.
fn moves(schema: &Value) -> bool {
    let example = schema.pointer("/examples/0");
    let options = schema.get("anyOf").and_then(Value::as_array);
    let number = |name: &Value| name == "integer" || name == "number";
    let is_number = match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(number),
        Some(name) => number(name),
        None => false,
    };
    is_number
        || example.is_some_and(ramp::is_quantity)
        || options.is_some_and(|options| options.iter().any(moves))
}

/// A fault block that takes its kind and parameters from the catalogue.
fn catalogued() -> Value {
    let mut schema = of::<shape::Fault>();
    schema["description"] = json!("a fault of the catalogue; its parameters can be overridden");
    schema["additionalProperties"] = json!(true);
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert("type".to_owned(), json!(false));
    }
    require(&mut schema, "use");
    schema
}

/// A check block of one type: the common keys and the type's parameters.
fn check(kind: &check::Kind) -> Value {
    let mut schema = merge(of::<shape::Check>(), inlined((kind.schema)().to_value()));
    schema["description"] = json!(kind.summary);
    schema["properties"]["type"] = json!({ "const": kind.name, "description": kind.summary });
    schema
}

/// The schema of a type, without references.
fn of<T: JsonSchema>() -> Value {
    inlined(schemars::schema_for!(T).to_value())
}

/// The schemas that blocks are held against, each made once: a file may have thousands of blocks.
static KNOWN: LazyLock<Mutex<HashMap<Cow<'static, str>, Arc<Value>>>> =
    LazyLock::new(Mutex::default);

/// The same as [`of`], made once.
pub(super) fn known<T: JsonSchema>() -> Arc<Value> {
    once(T::schema_id(), of::<T>)
}

/// The same as [`fault()`], made once.
pub(super) fn of_fault(kind: &fault::Kind) -> Arc<Value> {
    once(format!("fault {}", kind.name).into(), || fault(kind))
}

/// The same as [`check()`], made once.
pub(super) fn of_check(kind: &check::Kind) -> Arc<Value> {
    once(format!("check {}", kind.name).into(), || check(kind))
}

fn once(key: Cow<'static, str>, make: impl FnOnce() -> Value) -> Arc<Value> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    known.entry(key).or_insert_with(|| make().into()).clone()
}

/// Whether `key` is a property of the object that `schema` describes.
pub(super) fn has(schema: &Value, key: &str) -> bool {
    schema["properties"].get(key).is_some()
}

fn require(schema: &mut Value, key: &str) {
    match schema["required"].as_array_mut() {
        Some(required) if required.iter().any(|entry| entry == key) => {}
        Some(required) => required.push(json!(key)),
        None => schema["required"] = json!([key]),
    }
}

/// `common` with the properties of `special`.
fn merge(mut common: Value, special: Value) -> Value {
    let Value::Object(special) = special else {
        return common;
    };
    for (key, schema) in special
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        common["properties"][key] = schema.clone();
    }
    for key in special
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        require(&mut common, key);
    }
    common
}

/// Puts every definition in the place of its reference: the types are no trees of their own kind,
/// and schemas of several kinds may call different things by one name.
pub(super) fn inlined(mut schema: Value) -> Value {
    let definitions = schema
        .as_object_mut()
        .and_then(|map| {
            map.remove("$schema");
            map.remove("title");
            map.remove("$defs")
        })
        .unwrap_or_default();
    inline(&mut schema, &definitions);
    schema
}

fn inline(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(map) => {
            let target = map
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| reference.strip_prefix("#/$defs/"))
                .and_then(|name| definitions.get(name))
                .and_then(Value::as_object)
                .cloned();
            if let Some(target) = target {
                map.remove("$ref");
                for (key, value) in target {
                    map.entry(key).or_insert(value);
                }
            }
            for value in map.values_mut() {
                inline(value, definitions);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| inline(item, definitions)),
        _ => {}
    }
}
