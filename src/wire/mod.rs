//! Messages of PostgreSQL and HTTP/1.1, without I/O: where each begins and ends, what asks and what
//! answers it.
//!
//! A [`Conversation`] sees both directions of one connection. It follows message boundaries at all
//! times by their headers, so that whoever becomes interested later knows where it stands, and it
//! cuts out only the messages that are wanted. All other bytes pass unchanged.

mod conversation;
mod exchange;
pub mod http;
pub mod pg;
#[cfg(test)]
mod tests;
mod unit;

pub use conversation::{Conversation, Emit, Observation, Opaque};
pub use unit::{ExchangeId, Then, Unit, Wants};

use serde::{Deserialize, Serialize};

/// The longest message that is held until it is whole: 1 MiB. A longer one passes, and is no unit.
pub const LONGEST_HELD: usize = 1 << 20;

/// Which way bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// From the client toward the server.
    Upstream,
    /// From the server toward the client.
    Downstream,
}

impl Direction {
    /// Both ways.
    pub const BOTH: [Self; 2] = [Self::Upstream, Self::Downstream];

    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::Upstream => Self::Downstream,
            Self::Downstream => Self::Upstream,
        }
    }
}

/// What a proxy's clients speak.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Bytes.
    #[default]
    Tcp,
    /// PostgreSQL's frontend/backend protocol, version 3.
    Postgres,
    /// HTTP/1.1.
    Http,
}

impl Protocol {
    /// As it is written in a scenario.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Postgres => "postgres",
            Self::Http => "http",
        }
    }
}
