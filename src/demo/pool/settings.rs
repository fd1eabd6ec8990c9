use std::time::Duration;

use crate::demo::{BackoffPolicy, Defect};
use crate::units::Period;

/// How connections are kept, and what happens when they are lost.
#[derive(Debug, Clone, clap::Args)]
pub struct Settings {
    /// Deadline of a query, counted from its send.
    #[arg(long, value_name = "PERIOD", default_value = "1s")]
    pub query_timeout: Period,
    /// Deadline of an attempt to connect, up to its first answered query.
    #[arg(long, value_name = "PERIOD", default_value = "1s")]
    pub connect_timeout: Period,
    /// Time between two heartbeats, so that an idle server notices a loss too.
    #[arg(long, value_name = "PERIOD", default_value = "500ms")]
    pub heartbeat: Period,
    /// Deadline of a heartbeat.
    #[arg(long, value_name = "PERIOD", default_value = "1s")]
    pub heartbeat_timeout: Period,
    /// How long an operation waits for a lost database before it gives up.
    #[arg(long, value_name = "PERIOD", default_value = "2s")]
    pub operation_timeout: Period,
    /// How often an operation of unknown fate is sent again.
    #[arg(long, value_name = "NUMBER", default_value = "3")]
    pub retries: u32,
    /// How long an operation waits for a connection when all are in use.
    #[arg(long, value_name = "PERIOD", default_value = "30s")]
    pub checkout_timeout: Period,
    /// How many operations may wait; further ones are turned away at once.
    #[arg(long, value_name = "NUMBER", default_value = "100")]
    pub queue: usize,
    /// Connections above the minimum are closed after having been idle for this long.
    #[arg(long, value_name = "PERIOD", default_value = "60s")]
    pub idle_timeout: Period,
    /// Waits between attempts to connect.
    #[command(flatten)]
    pub backoff: BackoffPolicy,
    /// The mistake that the server was started with.
    #[arg(skip)]
    pub(in crate::demo) defect: Option<Defect>,
}

impl Settings {
    /// Whether the server was started with `defect`.
    pub(in crate::demo) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// Leaves it to the database to report that it hangs, which it cannot.
    pub(in crate::demo) const fn drop_deadlines(&mut self) {
        self.query_timeout = Period(Duration::MAX);
        self.connect_timeout = Period(Duration::MAX);
        self.heartbeat_timeout = Period(Duration::MAX);
    }
}

/// How many connections a pool keeps and how many it may open.
#[derive(Debug, Clone, Copy)]
pub(in crate::demo) struct Size {
    /// Kept open even if idle.
    pub(in crate::demo) min: usize,
    /// Never exceeded.
    pub(in crate::demo) max: usize,
}
