//! The one door for change: the vocabulary in which the runner, and every other controller, asks
//! the engine to do something.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{AskedBy, Name};
pub use crate::fault::Protocol;
use crate::fault::Scope;
use crate::units::{Moment, Reach};

/// An action, and what the engine records of whoever asks for it. A bare action is asked for by a
/// caller of the API.
#[derive(Debug, Clone)]
pub struct Order {
    /// The change.
    pub action: Action,
    /// Who asks.
    pub by: AskedBy,
    /// When a schedule wanted it.
    pub planned: Option<Moment>,
}

impl From<Action> for Order {
    fn from(action: Action) -> Self {
        action.asked_by(AskedBy::Api)
    }
}

/// A change that the engine can make.
#[derive(Debug, Clone)]
pub enum Action {
    /// Puts a fault in force.
    Inject(Injection),
    /// Gives a fault on connections other parameters while it is in force. Connections stay in
    /// scope or out of it, what it parked stays parked, its dice go on.
    Reconfigure {
        /// The fault.
        fault: Name,
        /// All parameters of its kind, as for an injection.
        params: serde_json::Value,
        /// Whether it is one of many small steps, which leave no fact each.
        minor: bool,
    },
    /// Ends a fault by name. What it held moves on at once.
    Lift {
        /// The fault.
        fault: Name,
    },
    /// Opens a proxy's listener again after [`Action::Disable`].
    Enable {
        /// The proxy.
        proxy: Name,
    },
    /// Closes a proxy's listener and its connections; its definition stays.
    Disable {
        /// The proxy.
        proxy: Name,
    },
    /// Ends every connection of a proxy with a FIN; new ones are welcome.
    CloseConnections {
        /// The proxy.
        proxy: Name,
    },
    /// Binds and starts a proxy.
    AddProxy(ProxySpec),
    /// Stops a proxy, ends its connections and frees its port.
    RemoveProxy {
        /// The proxy.
        proxy: Name,
    },
    /// Lifts every fault everywhere.
    HealAll,
}

impl Action {
    /// An order for this action that no schedule planned.
    pub const fn asked_by(self, by: AskedBy) -> Order {
        Order {
            action: self,
            by,
            planned: None,
        }
    }

    /// An order of a schedule that wanted this action at `moment`.
    pub const fn planned(self, moment: Moment) -> Order {
        Order {
            action: self,
            by: AskedBy::Schedule,
            planned: Some(moment),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, subject) = match self {
            Self::Inject(injection) => ("inject", &*injection.fault),
            Self::Reconfigure { fault, .. } => ("reconfigure", &**fault),
            Self::Lift { fault } => ("lift", &**fault),
            Self::Enable { proxy } => ("enable", &**proxy),
            Self::Disable { proxy } => ("disable", &**proxy),
            Self::CloseConnections { proxy } => ("close connections of", &**proxy),
            Self::AddProxy(spec) => ("add proxy", &*spec.name),
            Self::RemoveProxy { proxy } => ("remove proxy", &**proxy),
            Self::HealAll => ("lift", "all faults"),
        };
        write!(f, "{verb} {subject}")
    }
}

/// A fault that is to be put in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Injection {
    /// The fault's name; unique among those in force.
    pub fault: Name,
    /// Counts repetitions of the same fault from 0; it keys the dice.
    pub occurrence: u32,
    /// The kind, as in the registry (`partition`).
    pub kind: String,
    /// The kind's parameters, validated against its `Params`.
    pub params: serde_json::Value,
    /// What it acts on: proxies, services or databases, as the kind wants it. None for a kind that
    /// acts on nothing that has a name here.
    pub targets: Vec<Name>,
    /// Whom it touches. Only for faults on connections.
    pub scope: Scope,
}

/// A point of interception.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProxySpec {
    /// Its name.
    pub name: Name,
    /// What is spoken through it.
    pub protocol: Protocol,
    /// Where it listens; port 0 takes any free port.
    pub listen: SocketAddr,
    /// Where it dials, as `host:port`; resolved at each dial, every address is tried.
    pub upstream: String,
    /// Which of these addresses it may dial. Default: loopback.
    #[serde(default)]
    pub reach: Reach,
    /// How long a dial may take, all addresses together. Default 5 s.
    pub dial_timeout: Duration,
    /// Whether silent peers of its connections are asked for a sign of life. Default `None`: never.
    pub keepalive: Option<Keepalive>,
    /// How many connections it serves at once; more are closed at once with cause `limit`.
    pub max_connections: usize,
}

/// When the kernel asks a silent peer whether it is still there, and gives it up (TCP keepalive,
/// RFC 9293 section 3.8.4). Linux counts in whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keepalive {
    /// Silence before the first question, from 1 s to 32,767 s.
    pub idle: Duration,
    /// From one question to the next, from 1 s to 32,767 s. Default 10 s.
    pub interval: Duration,
    /// Questions without an answer before the peer is given up, from 1 to 127. Default 5.
    pub retries: u32,
}
