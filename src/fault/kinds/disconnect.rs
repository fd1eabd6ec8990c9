//! Placeholder shape of the kind.

use serde::{Deserialize, Serialize};

use crate::fault::{Effects, FaultKind};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Disconnect;

/// Parameters.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {}

impl FaultKind for Disconnect {
    const NAME: &'static str = "disconnect";
    const SUMMARY: &'static str = "";
    const STORY: &'static str = "";
    type Params = Params;

    fn build(_params: Params) -> Effects {
        Effects::default()
    }
}
