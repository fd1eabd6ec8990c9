//! What a scenario says about probes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Name;
use crate::load::HttpOk;
use crate::template::Template;

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
    /// A TCP connection, opened and closed: ok if somebody listens.
    Tcp {
        /// The service, if it looks at one.
        service: Option<Name>,
        /// `host:port`.
        address: Template,
    },
    /// A query over a new connection.
    Sql {
        /// Connection URL. Kept out of journals: it may hold a password.
        #[serde(skip)]
        url: Template,
        /// The query.
        query: String,
        /// The values of its first row; `None` accepts any.
        equals: Option<Vec<serde_json::Value>>,
    },
    /// A command that is run anew each time, never twice at once.
    Command {
        /// The program and its arguments. Kept out of journals: they may hold a password.
        #[serde(skip)]
        run: Vec<Template>,
        /// The exit code that is wanted.
        exit: i32,
        /// JSON path of the number in what is printed; `None` if all of it is the number.
        value: Option<String>,
        /// What the number must be.
        bounds: MetricOk,
        /// Values of what is printed, by JSON path.
        json: BTreeMap<String, serde_json::Value>,
    },
    /// A metric of a page in the exposition format of Prometheus.
    Prometheus {
        /// The service.
        service: Name,
        /// The path of the page.
        path: String,
        /// The name of the metric.
        metric: String,
        /// Labels that a series must have to count.
        labels: BTreeMap<String, String>,
        /// What counts as ok.
        ok: MetricOk,
    },
}

/// What values count as ok. A value that is not there never does.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct MetricOk {
    /// Each must be below this.
    pub below: Option<f64>,
    /// Each must be above this.
    pub above: Option<f64>,
}

impl MetricOk {
    /// What is not as wanted of a value called `what`, if anything.
    pub(super) fn objection(self, what: &str, value: f64) -> Option<String> {
        let Self { below, above } = self;
        if below.is_some_and(|limit| value.is_nan() || value >= limit) {
            return Some(format!("`{what}` is {value}, expected below {}", below?));
        }
        if above.is_some_and(|limit| value.is_nan() || value <= limit) {
            return Some(format!("`{what}` is {value}, expected above {}", above?));
        }
        None
    }
}

impl ProbeKind {
    /// The service that it looks at.
    pub const fn service(&self) -> Option<&Name> {
        match self {
            Self::Http { service, .. }
            | Self::Log { service, .. }
            | Self::Prometheus { service, .. } => Some(service),
            Self::Tcp { service, .. } => service.as_ref(),
            Self::Sql { .. } | Self::Command { .. } => None,
        }
    }
}
