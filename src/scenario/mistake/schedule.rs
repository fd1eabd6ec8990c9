//! The words for mistakes of the schedule: when a fault comes, for how long, and what moves or is
//! left to chance.

use serde_json::Value;

use crate::diag::{Diagnostic, Span};
use crate::scenario::block::Block;
use crate::scenario::timeline::MOST;
use crate::scenario::wording::list;
use crate::units::Period;

/// A ramp of a parameter that has no value.
pub(in crate::scenario) fn from_nowhere(block: &Block, name: &str) -> Diagnostic {
    Diagnostic::error(
        block.span(&format!("ramp.{name}")),
        format!("`{name}` has no value to start from"),
        "only its end is given",
    )
    .help(format!(
        "write `{name}` beside `ramp`: that is where it starts"
    ))
}

/// A ramp of a parameter that is a word.
pub(in crate::scenario) fn not_movable(block: &Block, name: &str, movable: &[&str]) -> Diagnostic {
    let path = format!("ramp.{name}");
    Diagnostic::error(
        block.keys.get(&path).copied().unwrap_or(block.source.block),
        format!("`{name}` cannot be ramped"),
        "not a quantity",
    )
    .note(format!(
        "what can move is {}",
        list(movable.iter().copied())
    ))
}

/// A ramp that ends at something else than it starts from.
pub(in crate::scenario) fn other_quantity(block: &Block, name: &str, from: &Value) -> Diagnostic {
    Diagnostic::error(
        block.span(&format!("ramp.{name}")),
        format!("`{name}` cannot move there"),
        format!("not a quantity like {from}, from which it starts"),
    )
    .help("write where it ends as the parameter itself is written")
}

/// A fault that is drawn and says itself when it begins.
pub(in crate::scenario) fn drawn(block: &Block, key: &str) -> Diagnostic {
    let name = block.name().unwrap_or_default();
    Diagnostic::error(
        block.keys.get(key).copied().unwrap_or(block.source.block),
        format!("[chaos] draws `{name}`; it cannot be on the schedule besides"),
        "says when it begins",
    )
    .help(format!(
        "remove `{key}`, or take `{name}` out of [chaos] and write the fault twice"
    ))
}

/// A fault that waits for one that is drawn at random, at an unknown time.
pub(in crate::scenario) fn waits_for_chance(span: Span, name: &str) -> Diagnostic {
    Diagnostic::error(
        span,
        format!("nothing can wait for `{name}`: [chaos] draws it"),
        "comes at random, or never",
    )
    .help("begin at a time of its own, with `at`")
}

/// A fault that the scenario's seed never draws.
pub(in crate::scenario) fn never_drawn(block: &Block, name: &str, seed: u64) -> Diagnostic {
    let path = format!("faults.{name}");
    Diagnostic::error(
        block.keys.get(&path).copied().unwrap_or(block.source.block),
        format!("seed {seed} never draws `{name}`"),
        "a check that names it stays inconclusive",
    )
    .warning()
    .help("give it more weight, let the schedule last longer, or choose another seed")
}

/// A fault, or a chaos, that comes so often or moves so long that the schedule would have no end.
pub(in crate::scenario) fn too_large(block: &Block, key: &str, steps: u64) -> Diagnostic {
    Diagnostic::error(
        block.span(key),
        format!("the schedule is longer than {MOST} steps"),
        format!("{steps} steps up to here"),
    )
    .note("each beginning of a fault and each step of a ramp is one")
    .help("let it come less often, or end earlier")
}

/// A length where the parameters of the kind say how long the fault lasts.
pub(in crate::scenario) fn own_length(block: &Block, kind: &str) -> Diagnostic {
    let mut keys = ["for", "sweep"].iter();
    let key = keys.find(|key| block.values.contains_key(**key));
    let span = key.and_then(|key| block.keys.get(*key)).copied();
    Diagnostic::error(
        span.unwrap_or(block.source.block),
        format!("the parameters of this `{kind}` say how long it lasts"),
        "said a second time",
    )
    .help(format!(
        "remove this; `chaosproxy faults {kind}` lists the parameters"
    ))
}

/// A fault without an end.
pub(in crate::scenario) fn endless(block: &Block, kind: &str) -> Diagnostic {
    Diagnostic::error(
        block.source.block,
        format!("a `{kind}` needs a length"),
        "`for` is missing",
    )
    .help("write how long it lasts, for example `for = \"8s\"`")
}

/// A fault that begins again before it has ended.
pub(in crate::scenario) fn overlapping(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.span("every"),
        "the fault begins again before it has ended",
        "shorter than the fault itself",
    )
    .related(block.span("for"), "so long is one occurrence")
    .help("make `every` at least as long as `for`")
}

/// A fault that ends after the schedule.
pub(in crate::scenario) fn late(span: Span, end: Period, duration: Span) -> Diagnostic {
    Diagnostic::error(
        span,
        "the fault ends after the schedule",
        format!("ends {end} after time zero"),
    )
    .related(duration, "the schedule ends here")
    .help("begin it earlier, shorten it, or lengthen `duration`")
}
