//! A scenario file becomes a [`Plan`]: text in, plan and diagnostics out. Nothing here is async,
//! and nothing is read but the text: the environment and the catalogue are handed in.
//!
//! The way of a file: [`source`] reads blocks and the place of every value; [`fit`] holds each
//! block against its [`shape`]; [`resolve`] gives names their meaning; [`timeline`] lays the
//! faults out in time. All mistakes of a file are reported at once; [`mistake`] words them.

mod env;
mod fit;
mod mistake;
mod params;
mod plan;
mod resolve;
mod schema;
mod shape;
mod source;
mod timeline;

pub use params::{Param, params};
pub use plan::{AbortSpec, BlastRadius, FaultPlan, Plan, Start, SteadyStateSpec, Step};
pub use schema::schema;
pub use timeline::timeline;

use crate::diag::{Diagnostic, Severity, Source};
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
    let plan = source::read(source, env, &mut diagnostics)
        .and_then(|blocks| resolve::resolve(source, &blocks, catalogue, &mut diagnostics));
    diagnostics.sort_by_key(|diagnostic| {
        diagnostic
            .primary
            .as_ref()
            .map_or(usize::MAX, |label| label.span.start)
    });
    let refused = diagnostics
        .iter()
        .any(|diagnostic| diagnostic.severity == Severity::Error);
    (plan.filter(|_| !refused), diagnostics)
}
