//! What goes wrong: faults, those that are drawn, and what none of them may touch.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::default;
use crate::fault::{Affect, Selection, Ways};
use crate::scenario::written::{At, Between, Names};
use crate::units::{Period, Share};

/// The keys that every fault has, whatever its kind.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Fault {
    /// Its name.
    pub(in crate::scenario) name: String,
    /// The kind of fault.
    #[serde(rename = "type")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(in crate::scenario) kind: Option<String>,
    /// A fault of the catalogue, instead of `type`; its parameters can be overridden here.
    #[serde(rename = "use")]
    #[expect(dead_code, reason = "read before the shape is known")]
    pub(in crate::scenario) entry: Option<String>,
    /// What it acts on: the name of a proxy, a service or a database, as its kind wants it, or a
    /// list of such names.
    #[serde(default)]
    pub(in crate::scenario) target: Names,
    /// When it begins: after time zero, or after the end (`after`) or beginning (`with`) of another
    /// fault. `before-start`: before any service is started.
    pub(in crate::scenario) at: Option<At>,
    /// How long it lasts; one that began before the start, from time zero. Faults that act once
    /// need none.
    #[serde(rename = "for")]
    pub(in crate::scenario) length: Option<Period>,
    /// The fault after whose last end it begins.
    pub(in crate::scenario) after: Option<String>,
    /// The fault with whose first beginning it begins.
    pub(in crate::scenario) with: Option<String>,
    /// Time from one beginning to the next, if it repeats; needs `count`.
    pub(in crate::scenario) every: Option<Period>,
    /// How often it happens; needs `every`.
    pub(in crate::scenario) count: Option<u32>,
    /// Lengths, instead of `for`: it is in force for each of them, one after the other, and checks
    /// that name it give a verdict for each. Needs `gap`.
    #[serde(default)]
    pub(in crate::scenario) sweep: Vec<Period>,
    /// Time from the end of one length of a sweep to the beginning of the next: long enough for
    /// everything to settle.
    pub(in crate::scenario) gap: Option<Period>,
    /// Parameters that move in a straight line while it is in force, from the values that they have
    /// in this block to these: `{ latency = "500ms" }`. Needs `for` or `sweep`.
    #[serde(default)]
    pub(in crate::scenario) ramp: BTreeMap<String, Value>,
    /// The share of connections that it touches, drawn once per connection.
    pub(in crate::scenario) percent: Option<Share>,
    /// Which connections it touches. `all`, or `existing` for faults that act once.
    pub(in crate::scenario) affect: Option<Affect>,
    /// The way of bytes that it acts on.
    #[serde(default)]
    pub(in crate::scenario) direction: Ways,
    /// What else must be true of a connection when the fault is injected: its age, its idle time,
    /// its number, its client. All, unless given.
    #[serde(default, rename = "match")]
    pub(in crate::scenario) selection: Selection,
    /// How many connections, clients, processes or servers it must touch to count as exercised.
    #[serde(default = "default::once")]
    pub(in crate::scenario) min_hits: u64,
}

/// Faults drawn at random from a list; the seed decides which, when and for how long.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct Chaos {
    /// From when to when drawn faults may be in force, after time zero.
    pub(in crate::scenario) between: Between,
    /// Time from the end of a drawn fault to the beginning of the next.
    pub(in crate::scenario) gap: Between,
    /// How long a drawn fault is in force that has no `for` of its own.
    pub(in crate::scenario) length: Option<Between>,
    /// How many drawn faults may be in force at once.
    #[serde(default = "default::one")]
    pub(in crate::scenario) at_once: u32,
    /// The faults that are drawn, each with its weight: one of weight 2 comes twice as often as one
    /// of weight 1.
    pub(in crate::scenario) faults: BTreeMap<String, f64>,
}

/// What faults may touch.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::scenario) struct BlastRadius {
    /// Proxies, services and databases that faults may act on; all, unless given.
    #[schemars(length(min = 1))]
    pub(in crate::scenario) allow: Option<Vec<String>>,
    /// Proxies, services and databases that no fault may act on.
    #[serde(default)]
    pub(in crate::scenario) protect: Vec<String>,
    /// Faults that may be in force at once.
    pub(in crate::scenario) max_active_faults: Option<u32>,
    /// The longest time that one fault may be in force.
    pub(in crate::scenario) max_fault_time: Option<Period>,
    /// Whether every address must be a loopback address. `true` unless given.
    pub(in crate::scenario) loopback_only: Option<bool>,
}
