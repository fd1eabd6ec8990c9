//! What a scenario says about probes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Name;

/// An observation, repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProbeSpec {
    /// Its name, under which assertions find it.
    pub name: Name,
    /// What it looks at.
    pub kind: ProbeKind,
    /// Time between two rounds. Default 100 ms.
    pub every: Duration,
    /// Deadline of one round. Default 1 s.
    pub timeout: Duration,
}

/// What a probe looks at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// GET of a path of a service.
    Http {
        /// The service.
        service: Name,
        /// The path.
        path: String,
        /// What counts as ok.
        ok: HttpOk,
    },
    /// Lines of a service's log; each line that matches is a sample with outcome ok.
    Log {
        /// The service.
        service: Name,
        /// A regular expression.
        pattern: String,
    },
}

/// What counts as ok. Everything named must hold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct HttpOk {
    /// The status; `None` accepts any 2xx.
    pub status: Option<u16>,
    /// Values by JSON path (`$.status`).
    pub json: BTreeMap<String, serde_json::Value>,
}

impl ProbeKind {
    /// The service that it looks at.
    pub const fn service(&self) -> &Name {
        match self {
            Self::Http { service, .. } | Self::Log { service, .. } => service,
        }
    }
}
