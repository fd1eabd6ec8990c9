//! A scenario file becomes a [`Plan`]: text in, plan and diagnostics out. Nothing here is async,
//! and nothing is read but the text: the environment and the catalogue are handed in.
//!
//! The way of a file: `source` reads each `block` and the place of every value; `fit` holds each
//! block against its `shape`; `resolve` gives names their meaning, which makes the `plan`; `chaos`
//! draws the faults that come at random; `timeline` lays all of them out in time. All mistakes of a
//! file are reported at once; `mistake` words them.

mod address;
mod block;
mod chaos;
mod env;
mod fit;
mod mistake;
mod params;
mod plan;
mod progress;
mod resolve;
mod schema;
mod secrets;
mod shape;
mod source;
mod timeline;
mod wording;
mod written;

pub use params::{Param, params};
pub use plan::{
    AbortSpec, BaselineOrigin, BaselineSpec, BlastRadius, Chaos, FaultPlan, Plan, Start,
    SteadyStateSpec, Step, Turn,
};
pub use progress::Progress;
pub use schema::schema;
pub use secrets::holds_password;
pub use timeline::timeline;

use crate::check::{CheckSpec, Limits};
use crate::diag::{Diagnostic, Severity, Source};
use crate::event::Secrets;
use crate::fault::catalogue::Catalogue;

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads a scenario. There is a plan exactly if no diagnostic is an error; the diagnostics stand
/// in the order of the file.
pub fn load(
    source: &Source,
    env: Env<'_>,
    catalogue: &Catalogue,
) -> (Option<Plan>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let plan = source::read(source, env, &mut diagnostics).and_then(|blocks| {
        let plan = resolve::resolve(source, &blocks, catalogue, &mut diagnostics);
        let (secrets, warnings) = secrets::gather(&blocks, env);
        diagnostics.extend(warnings);
        plan.map(|plan| Plan { secrets, ..plan })
    });
    conclude(plan, diagnostics)
}

/// The secrets of a scenario, whether it can be used or not.
pub fn secrets(source: &Source, env: Env<'_>) -> Secrets {
    let blocks = source::read(source, env, &mut Vec::new());
    blocks.map_or_else(Secrets::default, |blocks| secrets::gather(&blocks, env).0)
}

/// Reads the checks of `source` alone, to judge by them a run whose scenario was `recorded` and
/// became `plan`. They may name what that scenario has, and keep to its limits unless
/// `source` has limits of its own. The diagnostics point into `source`.
pub fn load_checks(
    source: &Source,
    recorded: &Source,
    plan: &Plan,
    env: Env<'_>,
) -> (Option<(Vec<CheckSpec>, Limits)>, Vec<Diagnostic>) {
    // What there is to say about the recorded file was said before it was run.
    let mut known = source::read(recorded, env, &mut Vec::new()).unwrap_or_default();
    known.retain(|block| block.kind != "check");
    let mut diagnostics = Vec::new();
    let mut checks = source::read(source, env, &mut diagnostics);
    if let Some(blocks) = &mut checks {
        blocks.retain(|block| matches!(block.kind, "check" | "limits"));
        if blocks.iter().all(|block| block.kind != "check") {
            diagnostics.push(mistake::check::no_check());
        }
    }
    let checks = checks.map(|blocks| resolve::checks(&blocks, &known, plan, &mut diagnostics));
    conclude(checks, diagnostics)
}

/// Sorts the diagnostics; nothing is usable if one of them is an error.
fn conclude<T>(
    loaded: Option<T>,
    mut diagnostics: Vec<Diagnostic>,
) -> (Option<T>, Vec<Diagnostic>) {
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic
            .primary
            .as_ref()
            .map_or(usize::MAX, |label| label.span.start)
    });
    let refused = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    (loaded.filter(|_| !refused), diagnostics)
}
