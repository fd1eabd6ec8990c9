//! Stored baselines: figures of earlier runs in a file that is committed beside the scenario, and
//! what has become worse since.
//!
//! Pure like all of [`super`]: files are read and written elsewhere.

mod compare;
mod figures;
mod file;

pub use compare::{Change, Tolerance, is_comparable};
pub use figures::{Figure, Figures, figures};
pub use file::{Baseline, BaselineError, Machine, RunFigures};

pub(super) use figures::{METRICS, unit, worse};

#[cfg(test)]
mod tests;
