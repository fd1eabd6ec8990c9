//! A scenario file becomes a [`Plan`]: text in, plan and diagnostics out. Nothing here is async.

mod plan;

pub use plan::{AbortSpec, BlastRadius, FaultPlan, Plan, Start, SteadyStateSpec, Step};
