//! What chaosproxy itself could not do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;

/// What chaosproxy itself fell short of for some time: what was observed meanwhile may be its own
/// doing and not the servers'.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "shortfall", rename_all = "snake_case")]
pub enum Shortfall {
    /// It stood still: it was stopped, or got no processor.
    StoodStill,
    /// Requests that came due while it was late were left out, so that they are not sent as one
    /// burst.
    Overdue {
        /// The workload or probe.
        source: Name,
        /// How many.
        count: u64,
    },
    /// Requests were left out because too many were under way.
    TooManyInFlight {
        /// The workload or probe.
        source: Name,
        /// How many.
        count: u64,
    },
    /// A proxy could accept no connection.
    NotAccepted {
        /// The proxy.
        proxy: Name,
        /// Why.
        why: String,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StoodStill => f.write_str("chaosproxy stood still"),
            Self::Overdue { source, count } => {
                write!(f, "{count} of `{source}` not sent: they were overdue")
            }
            Self::TooManyInFlight { source, count } => {
                write!(f, "{count} of `{source}` not sent: too many were under way")
            }
            Self::NotAccepted { proxy, why } => {
                write!(f, "proxy `{proxy}` could not accept connections: {why}")
            }
        }
    }
}
