//! So many connections and no more.

use serde::{Deserialize, Serialize};

use crate::fault::{Effects, FaultKind, How, ListenerPolicy};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct ConnectionLimit;

/// Parameters of a limit of connections.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many connections may be open through the proxy. Default `10`.
    #[serde(default = "ten")]
    pub most: u32,
    /// How further ones are ended. Default `fin`.
    #[serde(default)]
    pub how: How,
}

const fn ten() -> u32 {
    10
}

impl FaultKind for ConnectionLimit {
    const NAME: &'static str = "connection_limit";
    const SUMMARY: &'static str = "turns new connections away while too many are open";
    const STORY: &'static str = "\
On the wire, a connection that would be one more than `most` is accepted and ended at once, with \
FIN or with RST, without a word of the server. Existing connections stay, even if there are more; \
as soon as one of them ends, another may come.

An application with more connections than the limit loses the race for the last ones. A pool that \
is bounded below it notices nothing; one that treats the end of a fresh connection as a reason to \
try again at once makes it worse; a leak of connections shows within minutes instead of weeks.

It stands for `max_connections`, the limit of a pooler or a load balancer, a server out of \
descriptors. A PostgreSQL server says so (SQLSTATE 53300) before it hangs up; this one does not.";
    const RAMPS: bool = true;
    type Params = Params;

    fn build(params: Params) -> Effects {
        Effects {
            listener: Some(ListenerPolicy::Limit {
                most: params.most.into(),
                how: params.how,
            }),
            ..Effects::default()
        }
    }
}
