//! What proxies and their connections carry, as facts tell it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Name;
use crate::units::Moment;

/// What a proxy has carried so far, chaosproxy's own connections included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The proxy.
    pub proxy: Name,
    /// Bytes and pieces passed on to the server.
    pub upstream: Volume,
    /// Bytes and pieces passed on to the client.
    pub downstream: Volume,
    /// How long bytes that met no fault stayed in chaosproxy: from the read to the write that the
    /// other side took at once. Of the pieces one in 16 is measured.
    pub own: Option<Spread>,
    /// How long faults held bytes, from their arrival to the moment at which they were due: what
    /// was added on purpose. Told of bytes that have left.
    pub injected: Option<Spread>,
    /// How much later than due such bytes left: what chaosproxy added to it.
    pub late: Option<Spread>,
    /// The open connections that are most worth a look: at most five that wait or that carried
    /// something since the last time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<OpenConnection>,
}

/// What went one way through a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Volume {
    /// Bytes.
    pub bytes: u64,
    /// Pieces, as they were written.
    pub chunks: u64,
}

/// How long something took, each time that it was measured. The median and the percentile are at
/// most a sixteenth too high, the longest is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread {
    /// How often it was measured.
    pub samples: u64,
    /// The median.
    pub p50: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

/// What one connection carried, and what faults did to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Carried {
    /// Bytes passed on to the server.
    pub bytes_upstream: u64,
    /// Bytes passed on to the client.
    pub bytes_downstream: u64,
    /// Pieces passed on to the server.
    #[serde(default)]
    pub chunks_upstream: u64,
    /// Pieces passed on to the client.
    #[serde(default)]
    pub chunks_downstream: u64,
    /// When bytes were last passed on; absent if none ever were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<Moment>,
    /// For how long faults held back bytes of it, or its client before any; both ways are added
    /// up. Of what still waits nothing is counted yet.
    #[serde(default, skip_serializing_if = "Duration::is_zero")]
    pub held: Duration,
    /// The faults that hit it, in the order in which they first did.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Name>,
    /// When the client ended its part, by FIN or RST, as far as that was seen: possibly long before
    /// the connection ended, if a fault held that back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_left: Option<Moment>,
}

/// An open connection, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnection {
    /// Ordinal of the connection at its proxy.
    pub conn: u64,
    /// Bytes that it carried since the last look, both ways.
    pub moved: u64,
    /// What it waits for, if that has taken a second or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Wait>,
    /// What it has carried so far.
    #[serde(flatten)]
    pub carried: Carried,
}

/// That a connection waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// What for.
    pub on: Awaited,
    /// Since when.
    pub since: Moment,
}

/// What a connection can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Awaited {
    /// A fault, which holds bytes of it.
    Fault,
    /// A connection to the server, which is not there yet.
    Dial,
    /// The client, which does not take what the server sent.
    Client,
    /// The server, which does not take what the client sent.
    Server,
    /// The server, which has sent nothing since the client last did.
    Answer,
}
