//! The types of checks, one file each.

pub mod backoff;
pub mod detection;
pub mod health;
pub mod integrity;
pub mod isolation;
pub mod job;
pub mod recovery;
