//! Traffic: open-model workloads, jobs, and the ledger of what was written.

pub mod spec;
