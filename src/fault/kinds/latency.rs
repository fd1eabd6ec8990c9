//! Placeholder shape of the kind.

use serde::{Deserialize, Serialize};

use crate::fault::{Effects, FaultKind};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Latency;

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl FaultKind for Latency {
    const NAME: &'static str = "latency";
    const SUMMARY: &'static str = "";
    const STORY: &'static str = "";
    type Params = Params;

    fn build(_params: Params) -> Effects {
        Effects::default()
    }
}
