//! The blast radius: what faults may touch, and for how long.

use std::time::Duration;

use super::{Block, one, stage};
use crate::diag::Diagnostic;
use crate::event::{Edge, Name};
use crate::scenario::{BlastRadius, FaultPlan, mistake, shape, timeline};
use crate::units::Period;

/// The `[blast_radius]` block, or its default: everything on this machine.
pub(super) fn read(blocks: &[Block], out: &mut Vec<Diagnostic>) -> BlastRadius {
    let shape = one::<shape::BlastRadius>(blocks, "blast_radius", out);
    let names = |names: Vec<String>| names.into_iter().map(Name::from).collect();
    BlastRadius {
        allow: names(shape.allow),
        protect: names(shape.protect),
        max_active_faults: shape.max_active_faults,
        max_fault_time: shape.max_fault_time.map(Into::into),
        loopback_only: shape.loopback_only.unwrap_or(true),
    }
}

/// Reports whatever lies outside the radius or does not end in time.
pub(super) fn check(
    blocks: &[Block],
    radius: &BlastRadius,
    faults: &[FaultPlan],
    scenario: &Block,
    duration: Duration,
    out: &mut Vec<Diagnostic>,
) {
    let own = blocks.iter().find(|block| block.kind == "blast_radius");
    for fault in faults {
        for target in &fault.targets {
            let span = fault.source.of("target");
            if let Some(index) = radius.protect.iter().position(|name| name == target) {
                let place = own.map(|block| block.span(&format!("protect[{index}]")));
                out.push(mistake::protected(span, target, place));
            } else if !radius.allow.is_empty() && !radius.allow.contains(target) {
                let place = own.map(|block| block.span("allow"));
                out.push(mistake::not_allowed(span, target, place));
            }
        }
        if let Some(limit) = radius.max_fault_time
            && timeline::length(fault) > limit
        {
            let place = own.map(|block| block.span("max_fault_time"));
            out.push(mistake::too_long(
                fault.source.of("for"),
                Period(limit),
                place,
            ));
        }
    }
    schedule(faults, radius, own, scenario, duration, out);
    if radius.loopback_only {
        for block in blocks {
            for (key, host) in stage::hosts(block) {
                if !stage::is_loopback(&host) {
                    out.push(mistake::not_loopback(block, key));
                }
            }
        }
    }
}

/// Follows the timeline once: who is late, and how many are in force together.
fn schedule(
    faults: &[FaultPlan],
    radius: &BlastRadius,
    own: Option<&Block>,
    scenario: &Block,
    duration: Duration,
    out: &mut Vec<Diagnostic>,
) {
    let steps = timeline::steps(faults);
    let mut late: Vec<Option<Duration>> = vec![None; faults.len()];
    let mut active = 0_u32;
    let mut crowded = false;
    for step in &steps {
        if step.at > duration {
            late[step.fault] = Some(step.at);
        }
        match step.edge {
            Edge::Inject => active += 1,
            Edge::Lift => active = active.saturating_sub(1),
        }
        if !crowded && radius.max_active_faults.is_some_and(|limit| active > limit) {
            crowded = true;
            let place = own.map(|block| block.span("max_active_faults"));
            let fault = &faults[step.fault];
            out.push(mistake::crowded(
                fault.source.block,
                active,
                Period(step.at),
                place,
            ));
        }
    }
    for (fault, end) in faults.iter().zip(late) {
        if let Some(end) = end {
            let span = ["count", "for", "at"]
                .iter()
                .find_map(|key| fault.source.values.get(*key).copied())
                .unwrap_or(fault.source.block);
            out.push(mistake::late(span, Period(end), scenario.span("duration")));
        }
    }
}
