use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::units::Moment;

/// A time in which a service may have logged lines that nobody saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogGap {
    /// The service.
    pub service: Name,
    /// Since when.
    pub from: Moment,
    /// Until when; `None` if nothing is seen any more.
    pub until: Option<Moment>,
    /// Why they were not seen.
    pub why: String,
}

impl fmt::Display for LogGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service, why, .. } = self;
        match self.until {
            None => write!(f, "the log of `{service}` ends here: {why}"),
            Some(_) => write!(f, "part of the log of `{service}` was not seen: {why}"),
        }
    }
}
