//! The chaos block: what may be drawn, and whether it can be.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use super::names::Names;
use crate::diag::Diagnostic;
use crate::scenario::block::Block;
use crate::scenario::{Chaos, FaultPlan, Start, Step, fit, mistake, shape, timeline};

/// The faults that are drawn, by name.
pub(super) fn drawn(blocks: &[Block]) -> BTreeSet<&str> {
    let block = blocks.iter().find(|block| block.kind == "chaos");
    let faults = block.and_then(|block| block.values.get("faults")?.as_object());
    let names = faults.into_iter().flatten();
    names.map(|(name, _)| name.as_str()).collect()
}

/// Reports faults that wait for one that is drawn.
pub(super) fn waits(blocks: &[Block], drawn: &BTreeSet<&str>, out: &mut Vec<Diagnostic>) {
    for block in blocks.iter().filter(|block| block.kind == "fault") {
        for key in ["after", "with"] {
            if let Some(name) = block.text(key).filter(|name| drawn.contains(name)) {
                out.push(mistake::schedule::waits_for_chance(block.span(key), name));
            }
        }
    }
}

/// The chaos block, as far as the mistakes allow.
pub(super) fn chaos(
    blocks: &[Block],
    names: &Names<'_>,
    faults: &[FaultPlan],
    out: &mut Vec<Diagnostic>,
) -> Option<Chaos> {
    let block = blocks.iter().find(|block| block.kind == "chaos")?;
    let (shape, whole) = fit::shape::<shape::Chaos>(block, out)?;
    let before = out.len();
    if shape.faults.is_empty() && block.values.contains_key("faults") {
        out.push(mistake::refused(
            block,
            "faults",
            "there is nothing to draw",
        ));
    }
    if shape.at_once == 0 {
        out.push(mistake::refused(
            block,
            "at_once",
            "nothing could ever be drawn",
        ));
    }
    let weights = weights(block, &shape.faults, names, faults, out);
    let mut lasting = weights.iter().map(|(index, _)| &faults[*index]);
    let needs_length =
        lasting.any(|fault| fault.start == Start::Drawn { lasts: true } && fault.length.is_none());
    if needs_length && shape.length.is_none() {
        out.push(mistake::missing_key(block, "", "length", None).help(
            "write how long a drawn fault is in force, for example `length = \"1s..5s\"`; or give \
             each of them its own `for`",
        ));
    }
    let given = shape.length.is_some();
    let chaos = Chaos {
        between: shape.between.0,
        gap: shape.gap.0,
        length: shape
            .length
            .map_or(Duration::ZERO..=Duration::ZERO, |length| length.0),
        at_once: shape.at_once,
        weights,
    };
    if given && *chaos.length.start() > span(&chaos.between) {
        out.push(mistake::refused(
            block,
            "length",
            "longer than `between` leaves room for",
        ));
    }
    if given && chaos.length.start().is_zero() {
        out.push(mistake::refused(
            block,
            "length",
            "a fault that never happens",
        ));
    }
    if out.len() == before {
        out.extend(too_large(block, &chaos, faults));
    }
    (whole && out.len() == before).then_some(chaos)
}

/// What is drawn: indices of `faults` with their weights.
fn weights(
    block: &Block,
    written: &BTreeMap<String, f64>,
    names: &Names<'_>,
    faults: &[FaultPlan],
    out: &mut Vec<Diagnostic>,
) -> Vec<(usize, f64)> {
    let names_of_faults = faults.iter().map(|fault| &*fault.name);
    let indexes: HashMap<_, _> = names_of_faults.zip(0..).collect();
    let mut weights = Vec::new();
    for (name, weight) in written {
        let path = format!("faults.{name}");
        if !names.has(&["fault"], name) {
            let span = block.keys.get(&path).copied();
            let span = span.unwrap_or(block.source.block);
            let known = names.of(&["fault"]);
            out.push(mistake::name::unknown_name(span, "fault", name, known));
        } else if !(weight.is_finite() && *weight > 0.0) {
            out.push(mistake::refused(
                block,
                &path,
                "a weight is a number above zero",
            ));
        }
        let index = indexes.get(&**name);
        weights.extend(index.map(|index| (*index, *weight)));
    }
    weights
}

/// What is said if more may be drawn than the schedule has room for.
fn too_large(block: &Block, chaos: &Chaos, faults: &[FaultPlan]) -> Option<Diagnostic> {
    let given = block.values.contains_key("length");
    let key = if given { "length" } else { "gap" };
    let scheduled: u64 = faults.iter().map(timeline::size).sum();
    let steps = scheduled as f64 + chaos.size(faults);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; saturates"
    )]
    (steps > timeline::MOST as f64).then(|| mistake::schedule::too_large(block, key, steps as u64))
}

/// Reports faults that the scenario's own seed never draws.
pub(super) fn never_drawn(
    blocks: &[Block],
    (faults, chaos): (&[FaultPlan], Option<&Chaos>),
    steps: &[Step],
    seed: u64,
    out: &mut Vec<Diagnostic>,
) {
    let block = blocks.iter().find(|block| block.kind == "chaos");
    let (Some(block), Some(chaos)) = (block, chaos) else {
        return;
    };
    let drawn: BTreeSet<_> = steps.iter().map(|step| step.fault).collect();
    let weights = chaos.weights.iter();
    let never = weights.filter(|(fault, _)| !drawn.contains(fault));
    for (fault, _) in never {
        out.push(mistake::schedule::never_drawn(
            block,
            &faults[*fault].name,
            seed,
        ));
    }
}

fn span(range: &RangeInclusive<Duration>) -> Duration {
    range.end().saturating_sub(*range.start())
}
