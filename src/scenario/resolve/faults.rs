//! A fault block: the keys that all faults have, and the parameters of its kind.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde_json::{Map, Value};

use super::{chaos, each, order, ramp};
use crate::check::FaultBrief;
use crate::diag::{Diagnostic, did_you_mean};
use crate::fault::catalogue::Catalogue;
use crate::fault::{self, Affect, BuildError, Kind, Protocol, Ramp, Scope, Subject};
use crate::scenario::block::Block;
use crate::scenario::written::At;
use crate::scenario::{FaultPlan, Start, fit, mistake, schema, shape, timeline};
use crate::units::{Period, Share};

/// What is said of a number that leaves nothing of a fault.
const NEVER: &str = "a fault that never happens";

/// Every fault, as far as the mistakes allow.
pub(super) fn faults(
    blocks: &[Block],
    catalogue: &Catalogue,
    out: &mut Vec<Diagnostic>,
) -> (Vec<FaultPlan>, Vec<FaultBrief>) {
    let drawn = chaos::drawn(blocks);
    let mut steps = 0;
    let faults = each(blocks, "fault", out, |block, out| {
        let (fault, brief) = fault(block, catalogue, &drawn, out)?;
        let size = timeline::size(&fault);
        if size > timeline::MOST - steps {
            out.push(too_large(block, &fault, steps.saturating_add(size)));
            return None;
        }
        steps += size;
        Some((fault, brief))
    });
    let (faults, briefs): (Vec<_>, Vec<_>) = faults.into_iter().unzip();
    order::faults(blocks, out);
    chaos::waits(blocks, &drawn, out);
    ownership(blocks, &faults, out);
    protocols(blocks, &faults, out);
    (faults, briefs)
}

fn fault(
    block: &Block,
    catalogue: &Catalogue,
    drawn: &BTreeSet<&str>,
    out: &mut Vec<Diagnostic>,
) -> Option<(FaultPlan, FaultBrief)> {
    let before = out.len();
    let Some((kind, values)) = kind_and_values(block, catalogue, out) else {
        let shape = fit::common::<shape::Fault>(block, out)?;
        if !drawn.contains(&*shape.name) {
            start(block, &shape, out);
        }
        repetition(block, &shape, shape.length.map(Into::into), out);
        return None;
    };
    let ((shape, params), _) = fit::fit(
        block,
        &values,
        &schema::of_fault(kind),
        &|value| read(kind, value),
        out,
    )?;
    let lasts = shape.length.is_some()
        || block.values.contains_key("sweep")
        || (drawn.contains(&*shape.name) && (kind.lasts)(&params));
    let scope = scope(&shape, lasts);
    let start = if drawn.contains(&*shape.name) {
        whenever(block, kind, &params, out)
    } else {
        start(block, &shape, out)
    };
    if !lasts && ((kind.lasts)(&params) || !shape.ramp.is_empty()) {
        out.push(mistake::schedule::endless(block, kind.name));
    }
    let own = (kind.length)(&params);
    if own.is_some() && lasts {
        out.push(mistake::schedule::own_length(block, kind.name));
    }
    let length = shape.length.map(Into::into).or(own);
    repetition(block, &shape, length, out);
    let ramp = ramp::ramp(block, &shape, kind, &params, out);
    let longest = shape.sweep.iter().max().map(|longest| longest.get());
    let effect = (&params, &ramp, longest.or(length));
    out.extend(objection(block, kind, effect, &scope));
    if out.len() > before {
        return None;
    }
    let plan = FaultPlan {
        name: shape.name.into(),
        kind: kind.name.to_owned(),
        params,
        ramp,
        targets: shape.target.0.into_iter().map(Into::into).collect(),
        scope,
        start: start?,
        length,
        every: shape.every.map(Into::into),
        count: shape.count.unwrap_or(1),
        sweep: shape.sweep.into_iter().map(Into::into).collect(),
        gap: shape.gap.unwrap_or_default().get(),
        source: block.source.clone(),
    };
    let brief = brief(&plan, shape.min_hits);
    Some((plan, brief))
}

/// What the kind has against its parameters or its scope, or what makes them no experiment.
fn objection(
    block: &Block,
    kind: &Kind,
    (params, ramp, length): (&Value, &Ramp, Option<Duration>),
    scope: &Scope,
) -> Option<Diagnostic> {
    let effects = match (kind.build)(params) {
        Err(error @ BuildError::Value { key, .. }) => {
            return Some(mistake::refused(block, key, &error.to_string()));
        }
        Err(BuildError::Shape(_)) => return None,
        Ok(effects) => effects,
    };
    if let Some(why) = fault::objection(&effects, scope) {
        let chosen = scope.percent < Share::ALL;
        let key = if chosen { "percent" } else { "match" };
        return Some(mistake::refused(block, key, why));
    }
    let at = |share| {
        let mut params: Map<_, _> = params.as_object().cloned().unwrap_or_default();
        params.extend(ramp.at(share));
        (kind.futile)(&Value::Object(params), length)
    };
    // A ramp may begin or end where nothing is felt.
    let futile = at(0.0).and_then(|_| at(1.0));
    let (key, why) = scope.futile().or(futile)?;
    Some(mistake::refused(block, key, why))
}

/// A fault that has no room on the schedule: it comes too often, or its ramp is too long.
fn too_large(block: &Block, fault: &FaultPlan, steps: u64) -> Diagnostic {
    let count = u64::from(fault.count);
    let key = if !fault.sweep.is_empty() {
        "sweep"
    } else if count > timeline::size(fault) / count {
        "count"
    } else {
        "for"
    };
    mistake::schedule::too_large(block, key, steps)
}

/// What judging needs to know of a fault.
fn brief(plan: &FaultPlan, min_hits: u64) -> FaultBrief {
    FaultBrief {
        name: plan.name.clone(),
        kind: plan.kind.clone(),
        params: plan.params.clone(),
        ramp: plan.ramp.at(1.0),
        sweep: plan.sweep.iter().copied().map(Period).collect(),
        proxy: plan.aim(),
        min_hits,
    }
}

/// Whom it touches. A fault that acts once acts on those who are there.
fn scope(shape: &shape::Fault, lasts: bool) -> Scope {
    let affect = if lasts { Affect::All } else { Affect::Existing };
    Scope {
        percent: shape.percent.unwrap_or(Share::ALL),
        affect: shape.affect.unwrap_or(affect),
        direction: shape.direction,
        selection: shape.selection.clone(),
    }
}

/// What chaosproxy ends, it must have started.
fn ownership(blocks: &[Block], faults: &[FaultPlan], out: &mut Vec<Diagnostic>) {
    let places = blocks
        .iter()
        .filter_map(|block| Some(((block.kind, block.name()?), block)));
    let places: HashMap<_, _> = places.collect();
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
        let named = fault.targets.iter();
        let named = named.filter_map(|target| places.get(&(kind, &**target)));
        let foreign = named.filter(|block| !own(block));
        out.extend(foreign.map(|block| mistake::stage::not_ours(fault.source.of("target"), block)));
    }
}

/// Faults on messages need proxies that follow them.
fn protocols(blocks: &[Block], faults: &[FaultPlan], out: &mut Vec<Diagnostic>) {
    let follows = |block: &&Block, protocol: Protocol| {
        let written = block.text("protocol").unwrap_or(Protocol::default().name());
        written == protocol.name()
    };
    for fault in faults {
        let Some(protocol) = fault::kind(&fault.kind).and_then(|kind| kind.speaks) else {
            continue;
        };
        let proxies = blocks.iter().filter(|block| block.kind == "proxy");
        let named = |block: &&Block| fault.targets.iter().any(|name| block.name() == Some(name));
        let deaf = proxies
            .filter(named)
            .filter(|block| !follows(block, protocol));
        let place = fault.source.of("target");
        out.extend(deaf.map(|proxy| mistake::stage::not_followed(place, proxy, protocol.name())));
    }
}

/// The kind, by `type` or by the catalogue, and the block's values over those of the catalogue. Of an
/// unknown name the one that was probably meant, so that what stands beside it can be looked at.
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
                let unknown = mistake::unknown_word(block, "type", "kind of fault", names);
                out.push(match catalogue.get(name) {
                    Some(_) => mistake::other_key(unknown, "a fault of the catalogue", "use", name),
                    None => unknown,
                });
            }
            let near = || did_you_mean(name, fault::kinds().iter().map(|kind| kind.name));
            let kind = kind.or_else(|| near().and_then(fault::kind))?;
            let mut values = block.values.clone();
            values.insert("type".to_owned(), kind.name.into());
            Some((kind, values))
        }
        (None, Some(name)) => {
            let names = || catalogue.entries().map(|entry| &*entry.name);
            if catalogue.get(name).is_none() {
                let what = "fault of the catalogue";
                let unknown = mistake::unknown_word(block, "use", what, names());
                out.push(match fault::kind(name) {
                    Some(_) => mistake::other_key(unknown, "a kind of fault", "type", name),
                    None => unknown,
                });
            }
            let near = || did_you_mean(name, names());
            let entry = catalogue
                .get(name)
                .or_else(|| near().and_then(|near| catalogue.get(near)))?;
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
fn read(kind: &Kind, value: &Value) -> Result<(shape::Fault, Value), fit::Refusal> {
    let common = schema::known::<shape::Fault>();
    let (own, params): (Map<_, _>, Map<_, _>) = value
        .as_object()
        .cloned()
        .unwrap_or_default()
        .into_iter()
        .partition(|(key, _)| schema::has(&common, key));
    let params = Value::Object(params);
    let shape = fit::read(&Value::Object(own))?;
    match (kind.build)(&params) {
        Err(BuildError::Shape(error)) => Err(error),
        _ => Ok((shape, params)),
    }
}

/// The start of a fault that is drawn: nothing else says when it begins, or how often.
fn whenever(
    block: &Block,
    kind: &Kind,
    params: &Value,
    out: &mut Vec<Diagnostic>,
) -> Option<Start> {
    for key in ["at", "after", "with", "every", "count", "sweep", "gap"] {
        if block.values.contains_key(key) {
            out.push(mistake::schedule::drawn(block, key));
            return None;
        }
    }
    let lasts = (kind.lasts)(params);
    Some(Start::Drawn { lasts })
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
    for key in ["after", "with", "every", "sweep"] {
        if block.values.contains_key(key) {
            let help = "what begins before the start begins once, and waits for nothing";
            out.push(mistake::one_of(block, &["at", key], help));
            return None;
        }
    }
    Some(Start::BeforeServices)
}

fn repetition(
    block: &Block,
    shape: &shape::Fault,
    length: Option<Duration>,
    out: &mut Vec<Diagnostic>,
) {
    if shape.length.is_some_and(|length| length.is_zero()) {
        out.push(mistake::refused(block, "for", NEVER));
    }
    let given = |key| block.values.contains_key(key);
    if given("sweep") || given("gap") {
        return sweep(block, shape, out);
    }
    let help = "write `every = \"20s\"` and `count = 3` for three occurrences, 20 s apart";
    match (shape.every, shape.count) {
        (None, Some(_)) if !given("every") => {
            out.push(mistake::lonely(block, "count", "every", help));
        }
        (Some(_), None) if !given("count") => {
            out.push(mistake::lonely(block, "every", "count", help));
        }
        (Some(_), Some(0)) => {
            out.push(mistake::refused(block, "count", NEVER));
        }
        (Some(every), Some(_)) => {
            if *every < length.unwrap_or(FaultPlan::ONCE) {
                out.push(mistake::schedule::overlapping(block));
            }
        }
        // What is there and was not read has been reported already.
        (None, _) | (_, None) => {}
    }
}

fn sweep(block: &Block, shape: &shape::Fault, out: &mut Vec<Diagnostic>) {
    let swept = block.values.contains_key("sweep");
    for key in ["for", "every", "count"] {
        if swept && block.values.contains_key(key) {
            let help = "a sweep says how long the fault lasts each time, and `gap` how far apart";
            out.push(mistake::one_of(block, &["sweep", key], help));
        }
    }
    let help = "write `sweep = [\"3s\", \"8s\"]` and `gap = \"20s\"` for two lengths, 20 s apart";
    if !swept {
        out.push(mistake::lonely(block, "gap", "sweep", help));
    } else if shape.sweep.is_empty() {
        out.push(mistake::refused(block, "sweep", "there is no length in it").help(help));
    } else if !block.values.contains_key("gap") {
        out.push(mistake::lonely(block, "sweep", "gap", help));
    }
    for (index, length) in shape.sweep.iter().enumerate() {
        if length.is_zero() {
            let path = format!("sweep[{index}]");
            out.push(mistake::refused(block, &path, NEVER));
        }
    }
}
