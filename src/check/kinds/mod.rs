//! The types of checks, one file each.

pub mod answer;
pub mod availability;
pub mod backoff;
pub mod detection;
pub mod exit;
pub mod health;
pub mod integrity;
pub mod isolation;
pub mod job;
pub mod log;
pub mod pool;
pub mod recovery;
pub mod regression;
pub mod slo;
