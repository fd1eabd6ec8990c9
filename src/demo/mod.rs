//! Reference servers on PostgreSQL: small, real, and meant to be copied from.
//!
//! They are users of PostgreSQL, not of chaosproxy: nothing here knows that faults are injected,
//! and nothing branches for tests. Scenarios are tried on them, healthy or with one [`Defect`] that
//! real servers have.
//!
//! - [`codebase`] indexes files, stores chunks and searches both.
//! - [`workflow`] keeps projects and work items, and asks codebase whether references are valid.
//! - [`embeddings`] turns texts into vectors, for codebase.

mod args;
mod backoff;
mod client;
pub mod codebase;
mod defect;
pub mod embeddings;
mod health;
mod host;
mod http;
mod log;
mod metrics;
mod pool;
mod schema;
pub mod workflow;

pub use args::{DatabaseArgs, ListenArgs};
pub use backoff::Policy as BackoffPolicy;
pub use defect::Defect;
pub use host::Error;
pub use pool::Settings as PoolSettings;
