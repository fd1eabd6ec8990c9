//! Losing the network, in three ways that must not be confused.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::{Effects, FaultKind, ListenerPolicy};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Partition;

/// Parameters of a partition.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How the network is lost.
    #[serde(default)]
    pub mode: Mode,
    /// What becomes of stalled bytes when it heals.
    #[serde(default)]
    pub on_heal: OnHeal,
    /// `reject` only: how long to wait for a client's first packet before the reset.
    #[serde(default = "first_packet")]
    pub first_packet: Period,
}

/// How the network is lost.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Sockets stay open, bytes are held: a hung host.
    #[default]
    Stall,
    /// Existing connections are reset; new ones are accepted, read once, and reset.
    Reject,
    /// Existing connections are reset; the port answers every SYN with RST.
    Refuse,
}

/// What becomes of stalled bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OnHeal {
    /// They arrive late, as with TCP.
    #[default]
    Resume,
    /// The connections that were touched are reset.
    Reset,
}

fn first_packet() -> Period {
    Period(Duration::from_secs(1))
}

impl FaultKind for Partition {
    const NAME: &'static str = "partition";
    const SUMMARY: &'static str = "cuts the path: stalled, rejected or refused";
    const STORY: &'static str = "";
    type Params = Params;

    fn build(params: Params) -> Effects {
        Effects {
            stream: None,
            listener: match params.mode {
                Mode::Stall => None,
                Mode::Reject => Some(ListenerPolicy::Reject {
                    read_for: params.first_packet.get(),
                }),
                Mode::Refuse => Some(ListenerPolicy::Refuse),
            },
        }
    }
}
