//! The words for mistakes of checks.

use crate::check::Lint;
use crate::diag::{Diagnostic, Severity, Span};
use crate::scenario::block::Block;

/// A file that was to be judged by and demands nothing.
pub(in crate::scenario) fn no_check() -> Diagnostic {
    Diagnostic {
        primary: None,
        ..Diagnostic::error(Span::default(), "the file has no [[check]]", "")
    }
    .help("name a file with at least one check to judge the run by")
}

/// A scenario that demands nothing: whatever happens, its run passes.
pub(in crate::scenario) fn nothing_judged(head: &Block) -> Diagnostic {
    Diagnostic::error(
        head.source.block,
        "the scenario has no [[check]]: nothing is judged",
        "passes whatever happens",
    )
    .warning()
    .help("add a [[check]]; or record the run with `--record` and judge it afterwards")
}

/// A limit that holds for the scenario as a whole.
pub(in crate::scenario) fn limit(block: &Block, span: Span, key: &str) -> Diagnostic {
    let example = if key == "max_busy" { "95%" } else { "5ms" };
    let value = block.text(key).unwrap_or(example);
    Diagnostic::error(
        span,
        format!("`{key}` is a limit of the whole scenario, not of a check"),
        "does not belong here",
    )
    .help(format!(
        "move it to a block `[limits]`, which holds for every check: `{key} = \"{value}\"`"
    ))
}

/// A check whose query the recorded run did not ask.
pub(in crate::scenario) fn unasked(block: &Block) -> Diagnostic {
    Diagnostic::error(
        block.source.block,
        "the run did not ask this check's query",
        "its answer is not in the journal",
    )
    .help(
        "queries are asked while the run goes on: the recorded scenario must have had a check of \
         this name with the same query",
    )
}

/// A check that cannot show what it is there for.
pub(in crate::scenario) fn lint(block: &Block, lint: &Lint) -> Diagnostic {
    let found =
        Diagnostic::error(block.span(&lint.key), &lint.message, &lint.label).help(&lint.help);
    match lint.severity {
        Severity::Error => found,
        Severity::Warning => found.warning(),
    }
}
