//! Which connections a fault touches.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{ConnKey, Direction, Objection, Selection};
use crate::units::{Moment, Share};

/// Which connections a fault touches. Every fault has one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scope {
    /// Each connection is drawn with this probability, once.
    pub percent: Share,
    /// Connections that exist at the injection, later ones, or all.
    pub affect: Affect,
    /// The ways that it acts on.
    pub direction: Ways,
    /// What else must be true of a connection.
    #[serde(default)]
    pub selection: Selection,
}

impl Default for Scope {
    fn default() -> Self {
        Self {
            percent: Share::ALL,
            affect: Affect::All,
            direction: Ways::Both,
            selection: Selection::default(),
        }
    }
}

impl Scope {
    /// Why no connection can be in scope, if so.
    pub fn futile(&self) -> Option<Objection> {
        let Selection {
            min_age,
            max_age,
            idle,
            ..
        } = self.selection;
        // Whoever is idle has been open for as long.
        let oldest = min_age.max(idle).unwrap_or_default();
        if self.percent == Share::NONE {
            Some(("percent", "nobody is touched; write for example `20%`"))
        } else if max_age.is_some_and(|most| oldest > most) {
            let message = "nobody is open for so long and for no longer than `max_age`";
            let key = if min_age >= idle {
                "match.min_age"
            } else {
                "match.idle"
            };
            Some((key, message))
        } else if self.affect == Affect::New && !oldest.is_zero() {
            let message = "a connection that is opened later has neither age nor idle time; \
                           remove this, or write `existing`";
            Some(("affect", message))
        } else {
            None
        }
    }

    /// Whether it leaves out connections by anything but the moment of their opening.
    pub fn chooses(&self) -> bool {
        self.percent < Share::ALL || self.selection != Selection::default()
    }
}

/// A connection, as faults choose among them.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// Keys its dice; its ordinal is part of it.
    pub key: ConnKey,
    /// The client's address.
    pub client: IpAddr,
    /// When it was accepted.
    pub opened: Moment,
    /// When a byte last went through it, either way; its opening if none did.
    pub active: Moment,
    /// Whether chaosproxy itself opened it: nothing is drawn for it and nothing selects it.
    pub own: bool,
}

/// Connections by their age relative to the injection.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Affect {
    /// Existing and new ones.
    #[default]
    All,
    /// Those that are open when the fault begins.
    Existing,
    /// Those that are opened while it is in force.
    New,
}

impl Affect {
    /// Whether a connection that existed at the injection, or one that did not, is among them.
    pub const fn includes(self, existed: bool) -> bool {
        matches!(
            (self, existed),
            (Self::All, _) | (Self::Existing, true) | (Self::New, false)
        )
    }
}

/// One way or both.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ways {
    /// Both.
    #[default]
    Both,
    /// Only toward the server.
    Upstream,
    /// Only toward the client.
    Downstream,
}

impl Ways {
    /// Whether `direction` is among them.
    pub const fn includes(self, direction: Direction) -> bool {
        matches!(
            (self, direction),
            (Self::Both, _)
                | (Self::Upstream, Direction::Upstream)
                | (Self::Downstream, Direction::Downstream)
        )
    }
}
