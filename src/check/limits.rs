use serde::{Deserialize, Serialize};

use crate::units::{Period, Share};

/// What the machine may do for a failure to count. Where it exceeds a limit, a failure that this
/// explains is inconclusive.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How busy the machine may be. Default 95%.
    pub max_busy: Share,
    /// How late observations may be sent, at the 99th percentile. Default 5ms.
    pub max_lateness: Period,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_busy: Share::from_fraction(0.95).unwrap_or(Share::ALL),
            max_lateness: Period::from_millis(5),
        }
    }
}
