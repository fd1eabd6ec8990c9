//! What workloads and probes observe.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::units::Moment;

/// One observation: a request of a workload or one round of a probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The workload or probe.
    pub source: Name,
    /// When it should have been sent. Latency counts from here.
    pub intended: Moment,
    /// When it was sent.
    pub sent: Moment,
    /// When its outcome was known.
    pub done: Moment,
    /// The outcome.
    pub outcome: Outcome,
    /// A digest of what was answered, where the scenario asks to compare it; or why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Result<String, String>>,
}

impl Sample {
    /// From the intended send to the outcome.
    pub fn latency(&self) -> Duration {
        self.done.since(self.intended)
    }

    /// The latency that counts, `None` if this observation is left out. What got no answer took its
    /// deadline at least, however soon that was known: a refused connection is not a fast one.
    pub fn counted_latency(&self, of: Answers, deadline: Duration) -> Option<Duration> {
        match (&self.outcome, of) {
            (Outcome::NotOk { .. }, Answers::Good) => None,
            (outcome, _) if outcome.is_answer() => Some(self.latency()),
            _ => Some(self.latency().max(deadline)),
        }
    }

    /// How late it was sent.
    pub fn lateness(&self) -> Duration {
        self.sent.since(self.intended)
    }
}

/// The answers that a latency is taken of. Observations without an answer always count.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Answers {
    /// Those that were ok: an error in no time is not a fast answer.
    #[default]
    Good,
    /// Errors as well.
    All,
}

impl Answers {
    /// Whether it is the default.
    pub const fn is_good(&self) -> bool {
        matches!(self, Self::Good)
    }
}

/// How an observation came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// As wanted.
    Ok {
        /// HTTP status, where there is one.
        status: Option<u16>,
    },
    /// The other side answered, and not as wanted: it *shows* that something is wrong.
    NotOk {
        /// HTTP status, where there is one.
        status: Option<u16>,
        /// What was not as wanted.
        why: String,
    },
    /// No answer within the deadline.
    Timeout,
    /// No connection: surely nothing was sent.
    ConnectError {
        /// Why.
        why: String,
    },
    /// The connection broke after the request was sent, or the answer was malformed.
    Broken {
        /// How.
        why: String,
    },
}

impl Outcome {
    /// Whether it came out as wanted.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// Whether the other side answered at all, as wanted or not.
    pub const fn is_answer(&self) -> bool {
        matches!(self, Self::Ok { .. } | Self::NotOk { .. })
    }
}

/// What the client knows of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// Acknowledged: it must be there.
    Ok,
    /// Surely not applied: it must not be there.
    Fail,
    /// Either is right.
    Unknown,
}
