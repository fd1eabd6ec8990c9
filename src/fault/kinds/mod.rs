//! The kinds of fault, one file each.

pub mod bandwidth;
pub mod command;
pub mod disconnect;
pub mod latency;
pub mod partition;
pub mod port_seizure;
pub mod postgres_server;
pub mod process;
