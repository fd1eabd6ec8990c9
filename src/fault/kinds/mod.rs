//! The kinds of fault, one file each.

pub mod disconnect;
pub mod latency;
pub mod partition;
