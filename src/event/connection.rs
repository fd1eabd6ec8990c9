//! How connections begin and end.

use serde::{Deserialize, Serialize};

use super::Name;

/// What a PostgreSQL client asked for before its session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "packet", rename_all = "snake_case")]
pub enum Startup {
    /// `SSLRequest`.
    Ssl,
    /// `GSSENCRequest`.
    Gss,
    /// `StartupMessage`: the client asks for a session.
    Session {
        /// `user`, empty if absent.
        user: String,
        /// `database`, empty if absent.
        database: String,
        /// `application_name`, empty if absent.
        application_name: String,
    },
    /// `CancelRequest`: not an attempt at a session.
    Cancel,
    /// A TLS handshake without a request before it, or after the server's `S`: opaque from here on.
    Tls,
    /// Bytes that are no PostgreSQL startup.
    Unknown,
}

/// Who ended a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The client.
    Client,
    /// The server.
    Upstream,
    /// The server could not be reached; the text says why.
    Dial(String),
    /// A fault, by name.
    Fault(Name),
    /// The proxy or the whole program was stopped.
    Shutdown,
    /// A connection limit.
    Limit,
    /// An error of a socket; the text says which.
    Error(String),
}
