//! Observations without a verdict.

pub mod spec;
