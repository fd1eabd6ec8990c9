//! The blast radius: what faults may touch, and for how long.

use std::time::Duration;

use super::{Block, one, stage};
use crate::diag::{Diagnostic, Span};
use crate::event::Name;
use crate::scenario::address::is_loopback;
use crate::scenario::{BlastRadius, Chaos, FaultPlan, Step, Turn, mistake, shape, timeline};
use crate::units::Period;

/// The `[blast_radius]` block, or its default: everything on this machine.
pub(super) fn read(blocks: &[Block], out: &mut Vec<Diagnostic>) -> BlastRadius {
    let shape = one::<shape::BlastRadius>(blocks, "blast_radius", out);
    let names = |names: Vec<String>| names.into_iter().map(Name::from).collect();
    if shape.allow.as_ref().is_some_and(Vec::is_empty) {
        let own = blocks.iter().find(|block| block.kind == "blast_radius");
        let why = "nothing is allowed, and so no fault; name what may be hit, or leave `allow` out";
        out.extend(own.map(|block| mistake::refused(block, "allow", why)));
    }
    BlastRadius {
        allow: names(shape.allow.unwrap_or_default()),
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
    (faults, chaos): (&[FaultPlan], Option<&Chaos>),
    end: (&Block, Duration),
    out: &mut Vec<Diagnostic>,
) {
    let block = |kind| blocks.iter().find(|block| block.kind == kind);
    let own = block("blast_radius");
    for fault in faults {
        for target in &fault.targets {
            let span = fault.source.of("target");
            if let Some(index) = radius.protect.iter().position(|name| name == target) {
                let place = own.map(|block| block.span(&format!("protect[{index}]")));
                out.push(mistake::radius::protected(span, target, place));
            } else if !radius.allow.is_empty() && !radius.allow.contains(target) {
                let place = own.map(|block| block.span("allow"));
                out.push(mistake::radius::not_allowed(span, target, place));
            }
        }
    }
    if let Some(limit) = radius.max_fault_time {
        let place = own.map(|block| block.span("max_fault_time"));
        let scheduled = faults.iter().filter_map(|fault| too_long(fault, limit));
        let drawn = chaos.filter(|chaos| *chaos.length.end() > limit);
        let drawn = drawn.and(block("chaos")).map(|block| block.span("length"));
        let beyond = scheduled.chain(drawn);
        out.extend(beyond.map(|span| mistake::radius::too_long(span, Period(limit), place)));
    }
    let steps = timeline::steps(faults, &[]);
    if let Some(limit) = radius.max_active_faults {
        out.extend(crowded(blocks, limit, (faults, &steps), chaos));
    }
    late(faults, &steps, end, out);
    let drawn = chaos.map(|chaos| *chaos.between.end());
    if let (Some(until), Some(chaos)) = (drawn.filter(|until| *until > end.1), block("chaos")) {
        let (span, duration) = (chaos.span("between"), end.0.span("duration"));
        out.push(mistake::schedule::late(span, Period(until), duration));
    }
    if radius.loopback_only {
        for block in blocks {
            for (key, host) in stage::hosts(block) {
                if !is_loopback(&host) {
                    out.push(mistake::radius::not_loopback(block, key));
                }
            }
        }
    }
}

/// The place of the length that is beyond the limit, if one is.
fn too_long(fault: &FaultPlan, limit: Duration) -> Option<Span> {
    let stretches = timeline::stretches(fault).into_iter();
    let mut lengths = stretches.map(|(_, length)| length);
    let index = lengths.position(|length| length > limit)?;
    let key = if fault.sweep.is_empty() {
        "for".to_owned()
    } else {
        format!("sweep[{index}]")
    };
    Some(fault.source.of(&key))
}

/// Reports faults that end after the schedule.
fn late(
    faults: &[FaultPlan],
    steps: &[Step],
    (scenario, duration): (&Block, Duration),
    out: &mut Vec<Diagnostic>,
) {
    let mut ends = vec![Duration::ZERO; faults.len()];
    for step in steps {
        ends[step.fault] = ends[step.fault].max(step.at);
    }
    for (fault, end) in faults.iter().zip(ends) {
        if end <= duration {
            continue;
        }
        let span = ["sweep", "count", "for", "at"]
            .iter()
            .find_map(|key| fault.source.values.get(*key).copied())
            .unwrap_or(fault.source.block);
        out.push(mistake::schedule::late(
            span,
            Period(end),
            scenario.span("duration"),
        ));
    }
}

/// Reports the first moment at which more are in force than may be. What may be drawn counts as if
/// it were, all the time, so that the answer holds for every seed.
fn crowded(
    blocks: &[Block],
    limit: u32,
    (faults, steps): (&[FaultPlan], &[Step]),
    chaos: Option<&Chaos>,
) -> Option<Diagnostic> {
    let block = |kind| blocks.iter().find(|block| block.kind == kind);
    let edge = |step: &Step| match step.turn {
        Turn::Inject => Some((step.at, 1, faults[step.fault].source.block)),
        Turn::Lift => Some((step.at, -1, faults[step.fault].source.block)),
        Turn::Move(_) => None,
    };
    let mut edges: Vec<_> = steps.iter().filter_map(edge).collect();
    if let (Some(chaos), Some(own)) = (chaos, block("chaos")) {
        let (span, count) = (own.span("at_once"), i64::from(chaos.at_once));
        edges.push((*chaos.between.start(), count, span));
        edges.push((*chaos.between.end(), -count, span));
    }
    edges.sort_by_key(|(at, change, _)| (*at, *change));
    let mut active = 0;
    edges.into_iter().find_map(|(at, change, span)| {
        active += change;
        let place = block("blast_radius").map(|own| own.span("max_active_faults"));
        (active > i64::from(limit))
            .then(|| mistake::radius::crowded(span, active, Period(at), place))
    })
}
