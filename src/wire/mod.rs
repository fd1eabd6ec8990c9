//! Framing of PostgreSQL, without I/O: what passes by is watched, never changed, held or answered.

mod pg;

pub use pg::{Observation, Session};
