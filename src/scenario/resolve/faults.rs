//! A fault block: the keys that all faults have, and the parameters of its kind.

use serde_json::{Map, Value};

use crate::check::FaultBrief;
use crate::diag::Diagnostic;
use crate::fault::catalogue::Catalogue;
use crate::fault::{self, Affect, BuildError, Kind, Scope, Subject};
use crate::scenario::source::Block;
use crate::scenario::written::At;
use crate::scenario::{FaultPlan, Start, fit, mistake, schema, shape};
use crate::units::Share;

pub(super) fn fault(
    block: &Block,
    catalogue: &Catalogue,
    out: &mut Vec<Diagnostic>,
) -> Option<(FaultPlan, FaultBrief)> {
    let (kind, values) = kind_and_values(block, catalogue, out)?;
    let (shape, params) = fit::fit(
        block,
        &values,
        &schema::fault(kind),
        &|value| read(kind, value),
        out,
    )?;
    let before = out.len();
    let scope = scope(&shape);
    match (kind.build)(&params) {
        Err(error @ BuildError::Value { key, .. }) => {
            out.push(mistake::refused(block, key, &error.to_string()));
        }
        Err(BuildError::Shape(_)) => {}
        Ok(effects) => {
            if let Some(why) = fault::objection(&effects, &scope) {
                let key = if shape.percent.is_some() {
                    "percent"
                } else {
                    "match"
                };
                out.push(mistake::refused(block, key, why));
            }
        }
    }
    let start = start(block, &shape, out);
    if shape.length.is_none() && (kind.lasts)(&params) {
        out.push(mistake::endless(block, kind.name));
    }
    repetition(block, &shape, out);
    if out.len() > before {
        return None;
    }
    let plan = FaultPlan {
        name: shape.name.into(),
        kind: kind.name.to_owned(),
        params,
        targets: shape.target.0.into_iter().map(Into::into).collect(),
        scope,
        start: start?,
        length: shape.length.map(Into::into),
        every: shape.every.map(Into::into),
        count: shape.count.unwrap_or(1),
        source: block.source.clone(),
    };
    let brief = FaultBrief {
        name: plan.name.clone(),
        kind: plan.kind.clone(),
        params: plan.params.clone(),
        proxy: plan.aim(),
        min_hits: shape.min_hits,
    };
    Some((plan, brief))
}

/// Whom it touches. A fault that acts once acts on those who are there.
fn scope(shape: &shape::Fault) -> Scope {
    let affect = if shape.length.is_none() {
        Affect::Existing
    } else {
        Affect::All
    };
    Scope {
        percent: shape.percent.unwrap_or(Share::ALL),
        affect: shape.affect.unwrap_or(affect),
        direction: shape.direction,
        selection: shape.selection.clone(),
    }
}

/// What chaosproxy ends, it must have started.
pub(super) fn ownership(blocks: &[Block], faults: &[FaultPlan], out: &mut Vec<Diagnostic>) {
    for fault in faults {
        let (kind, own): (_, fn(&Block) -> bool) = match fault::kind(&fault.kind) {
            Some(kind) if kind.subject == Subject::Processes => {
                ("service", |block| block.values.contains_key("command"))
            }
            Some(kind) if kind.subject == Subject::Servers => ("database", |block| {
                block.values.get("managed") == Some(&Value::Bool(true))
            }),
            _ => continue,
        };
        let foreign = blocks
            .iter()
            .filter(|block| block.kind == kind && !own(block))
            .filter(|block| {
                let name = block.name();
                fault.targets.iter().any(|target| name == Some(&**target))
            });
        out.extend(foreign.map(|block| mistake::not_ours(fault.source.of("target"), block)));
    }
}

/// The kind, by `type` or by the catalogue, and the block's values over those of the catalogue.
fn kind_and_values(
    block: &Block,
    catalogue: &Catalogue,
    out: &mut Vec<Diagnostic>,
) -> Option<(&'static Kind, Map<String, Value>)> {
    match (block.text("type"), block.text("use")) {
        (Some(name), None) => {
            let kind = fault::kind(name);
            if kind.is_none() {
                let names = fault::kinds().iter().map(|kind| kind.name);
                out.push(mistake::unknown_word(block, "type", "kind of fault", names));
            }
            Some((kind?, block.values.clone()))
        }
        (None, Some(name)) => {
            let Some(entry) = catalogue.get(name) else {
                let names = catalogue.entries().map(|entry| &*entry.name);
                out.push(mistake::unknown_word(
                    block,
                    "use",
                    "fault of the catalogue",
                    names,
                ));
                return None;
            };
            let mut values = entry.params.clone();
            values.insert("type".to_owned(), entry.kind.clone().into());
            values.extend(block.values.clone());
            values.remove("use");
            Some((fault::kind(&entry.kind)?, values))
        }
        _ => {
            out.push(mistake::one_of(
                block,
                &["type", "use"],
                "name a kind of fault, or a fault of the catalogue; `chaosproxy faults` lists both",
            ));
            None
        }
    }
}

/// Splits the common keys from the parameters and reads both.
fn read(kind: &Kind, value: &Value) -> Result<(shape::Fault, Value), String> {
    let common = schema::of::<shape::Fault>();
    let (own, params): (Map<_, _>, Map<_, _>) = value
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .partition(|(key, _)| schema::has(&common, key));
    let params = Value::Object(params);
    let shape = serde_json::from_value::<shape::Fault>(Value::Object(own));
    let built = match (kind.build)(&params) {
        Err(BuildError::Shape(error)) => Some(error.to_string()),
        // What is refused in combination is for the whole block to say.
        Ok(_) | Err(BuildError::Value { .. }) => None,
    };
    let refused = shape.as_ref().err().map(ToString::to_string);
    match (shape, fit::telling([refused, built])) {
        (Ok(shape), None) => Ok((shape, params)),
        (_, error) => Err(error.unwrap_or_default()),
    }
}

fn start(block: &Block, shape: &shape::Fault, out: &mut Vec<Diagnostic>) -> Option<Start> {
    let at = match shape.at {
        Some(At::BeforeStart) => return before_start(block, out),
        Some(At::After(at)) => Some(at),
        None => None,
    };
    let delay = at.unwrap_or_default().get();
    match (&shape.after, &shape.with, at) {
        (Some(name), None, _) => Some(Start::After(name.as_str().into(), delay)),
        (None, Some(name), _) => Some(Start::With(name.as_str().into(), delay)),
        (None, None, Some(_)) => Some(Start::At(delay)),
        (Some(_), Some(_), _) => {
            let help = "a fault begins after the end of another or with its beginning, not both";
            out.push(mistake::one_of(block, &["after", "with"], help));
            None
        }
        (None, None, None) => {
            let help = "write `at = \"15s\"`, or `after` or `with` and the name of another fault";
            out.push(mistake::one_of(block, &["at", "after", "with"], help));
            None
        }
    }
}

/// There is one start, and nothing that it could wait for.
fn before_start(block: &Block, out: &mut Vec<Diagnostic>) -> Option<Start> {
    for key in ["after", "with", "every"] {
        if block.values.contains_key(key) {
            let help = "what begins before the start begins once, and waits for nothing";
            out.push(mistake::one_of(block, &["at", key], help));
            return None;
        }
    }
    Some(Start::BeforeServices)
}

fn repetition(block: &Block, shape: &shape::Fault, out: &mut Vec<Diagnostic>) {
    match (shape.every, shape.count) {
        (None, Some(_)) => out.push(mistake::lonely(block, "count", "every")),
        (Some(_), None) => out.push(mistake::lonely(block, "every", "count")),
        (Some(_), Some(0)) => {
            out.push(mistake::refused(
                block,
                "count",
                "a fault that never happens",
            ));
        }
        (Some(every), Some(_)) => {
            let length = shape
                .length
                .map_or(crate::scenario::timeline::ONCE, Into::into);
            if *every < length {
                out.push(mistake::overlapping(block));
            }
        }
        (None, None) => {}
    }
}
