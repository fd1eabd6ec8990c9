//! The kinds of fault, one file each.

pub mod accept_delay;
pub mod bandwidth;
pub mod command;
pub mod connection_limit;
pub mod corrupt;
pub mod disconnect;
pub mod flap;
pub mod http_abort;
pub mod latency;
pub mod limit_data;
pub mod limit_time;
pub mod link;
pub mod loss;
pub mod partition;
pub mod pg_error;
pub mod port_seizure;
pub mod postgres_server;
pub mod process;
pub mod reset_peer;
pub mod slicer;
pub mod slow_close;
pub mod timeout;
