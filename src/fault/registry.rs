//! The kinds of faults: one line for each.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Effects, Protocol, kinds as all};

/// A kind of fault. One implementation per file in `kinds`, one line in [`kinds`].
///
/// Documentation, the `faults` command, the JSON Schema and the names in scenario files all come
/// from `Params` and the constants.
pub trait FaultKind {
    /// The name in scenario files.
    const NAME: &'static str;
    /// One line: what it does.
    const SUMMARY: &'static str;
    /// A paragraph: the effect on the wire, what an application sees, what it stands for.
    const STORY: &'static str;
    /// What it acts on.
    const SUBJECT: Subject = Subject::Connections;
    /// The protocol that the proxies have to follow for it, if it acts on messages.
    const SPEAKS: Option<Protocol> = None;
    /// Whether its parameters can move while it is in force: on an open connection it remembers
    /// nothing, or takes it over ([`Fault::inherit`](super::Fault::inherit)).
    const RAMPS: bool = false;
    /// The parameters, all with a unit and a default where one makes sense.
    type Params: DeserializeOwned + Serialize + schemars::JsonSchema;

    /// Whether a length must be given; `false` for what can act once.
    fn lasts(_params: &Self::Params) -> bool {
        true
    }

    /// Whether nothing gets through, in scope, while it is in force.
    fn severs(_params: &Self::Params) -> bool {
        false
    }

    /// Refuses combinations that the types allow: `(key, what is wrong and what to write)`.
    fn validate(_params: &Self::Params) -> Result<(), (&'static str, String)> {
        Ok(())
    }

    /// For how long it is in force, if its own parameters say so; then nothing else does.
    fn length(_params: &Self::Params) -> Option<Duration> {
        None
    }

    /// Why nobody could feel it while it is in force for `length`, if that is known. A ramp may begin or end there.
    fn futile(_params: &Self::Params, _length: Option<Duration>) -> Option<Objection> {
        None
    }

    /// Builds the fault from valid parameters.
    fn build(params: Self::Params) -> Effects;
}

/// A parameter, and what is wrong with its value and what to write instead.
pub type Objection = (&'static str, &'static str);

/// What a kind of fault acts on; it decides what the `target` of a fault may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The connections through a proxy.
    Connections,
    /// The port of a service or of a proxy.
    Ports,
    /// The process of a service that chaosproxy starts.
    Processes,
    /// The server of a database that chaosproxy manages.
    Servers,
    /// Something that no block of a scenario describes.
    Elsewhere,
}

impl Subject {
    /// Whether proxies see whom a fault on it touches.
    pub const fn is_seen_by_proxies(self) -> bool {
        matches!(self, Self::Connections | Self::Ports)
    }

    /// The blocks whose names are possible targets; none if there is no target.
    pub const fn blocks(self) -> &'static [&'static str] {
        match self {
            Self::Connections => &["proxy"],
            Self::Ports => &["service", "proxy"],
            Self::Processes => &["service"],
            Self::Servers => &["database"],
            Self::Elsewhere => &[],
        }
    }
}

/// A kind without its type: what the rest of the program sees.
pub struct Kind {
    /// The name in scenario files.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// A paragraph.
    pub story: &'static str,
    /// What it acts on.
    pub subject: Subject,
    /// The protocol that the proxies have to follow for it, if it acts on messages.
    pub speaks: Option<Protocol>,
    /// Whether its parameters can move while it is in force.
    pub ramps: bool,
    /// Whether a length must be given, with these parameters; `false` for what can act once.
    pub lasts: fn(&serde_json::Value) -> bool,
    /// Whether nothing gets through, in scope, while it is in force with these parameters.
    pub severs: fn(&serde_json::Value) -> bool,
    /// The JSON Schema of its parameters.
    pub schema: fn() -> schemars::Schema,
    /// For how long it is in force, if the parameters say so.
    pub length: fn(&serde_json::Value) -> Option<Duration>,
    /// Why nobody could feel it, with these parameters and such a length, if so.
    pub futile: fn(&serde_json::Value, Option<Duration>) -> Option<Objection>,
    /// Checks and builds; the parameters are those of the schema, as JSON.
    pub build: fn(&serde_json::Value) -> Result<Effects, BuildError>,
}

/// Why parameters are refused.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// They do not have the kind's shape.
    #[error(transparent)]
    Shape(#[from] serde_path_to_error::Error<serde_json::Error>),
    /// A value is not possible in this combination.
    #[error("{message}")]
    Value {
        /// The parameter.
        key: &'static str,
        /// What is wrong and what to write instead.
        message: String,
    },
}

const fn entry<K: FaultKind>() -> Kind {
    Kind {
        name: K::NAME,
        summary: K::SUMMARY,
        story: K::STORY,
        subject: K::SUBJECT,
        speaks: K::SPEAKS,
        ramps: K::RAMPS,
        lasts: |params| {
            serde_json::from_value(params.clone()).map_or(true, |params| K::lasts(&params))
        },
        severs: |params| {
            serde_json::from_value(params.clone()).is_ok_and(|params| K::severs(&params))
        },
        schema: || schemars::schema_for!(K::Params),
        length: |params| K::length(&serde_json::from_value(params.clone()).ok()?),
        futile: |params, length| K::futile(&serde_json::from_value(params.clone()).ok()?, length),
        build: |params| {
            let params: K::Params = serde_path_to_error::deserialize(params)?;
            K::validate(&params).map_err(|(key, message)| BuildError::Value { key, message })?;
            Ok(K::build(params))
        },
    }
}

/// Every kind, in the order in which they are listed to people.
pub fn kinds() -> &'static [Kind] {
    const KINDS: &[Kind] = &[
        entry::<all::partition::Partition>(),
        entry::<all::disconnect::Disconnect>(),
        entry::<all::latency::Latency>(),
        entry::<all::bandwidth::Bandwidth>(),
        entry::<all::loss::Loss>(),
        entry::<all::link::Link>(),
        entry::<all::flap::Flap>(),
        entry::<all::slicer::Slicer>(),
        entry::<all::corrupt::Corrupt>(),
        entry::<all::timeout::Timeout>(),
        entry::<all::reset_peer::ResetPeer>(),
        entry::<all::slow_close::SlowClose>(),
        entry::<all::limit_data::LimitData>(),
        entry::<all::limit_time::LimitTime>(),
        entry::<all::accept_delay::AcceptDelay>(),
        entry::<all::connection_limit::ConnectionLimit>(),
        entry::<all::pg_error::PgError>(),
        entry::<all::http_abort::HttpAbort>(),
        entry::<all::port_seizure::PortSeizure>(),
        entry::<all::process::Process>(),
        entry::<all::postgres_server::PostgresServer>(),
        entry::<all::command::Command>(),
    ];
    KINDS
}

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    kinds().iter().find(|kind| kind.name == name)
}
