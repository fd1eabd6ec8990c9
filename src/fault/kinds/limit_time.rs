//! No connection grows old.

use serde::{Deserialize, Serialize};

use crate::fault::ending::{End, Ending, UntilThen, When};
use crate::fault::{Effects, FaultKind, How};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct LimitTime;

/// Parameters of a limit of time.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How old a connection may become, counted from its opening.
    pub lifetime: Period,
    /// How it is ended. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for LimitTime {
    const NAME: &'static str = "limit_time";
    const SUMMARY: &'static str = "ends every connection that reaches an age";
    const STORY: &'static str = "\
On the wire, a connection is ended toward both its sides, with FIN or with RST, when it is \
`lifetime` old, whatever it does at that moment. Connections that are older than that at the \
injection are ended at once.

An application loses connections in the middle of their work, at a steady pace and never all \
together, unless they were all opened together. A pool that replaces what it loses hardly notices; \
one that counts every loss as an outage does.

It stands for a load balancer or a pooler with a maximum lifetime, a NAT gateway that drops \
long-lived flows, credentials that expire with the session.";
    type Params = Params;

    fn build(params: Params) -> Effects {
        let ending = Ending {
            when: When::Aged(params.lifetime),
            until_then: UntilThen::Pass,
            how: End::Whole(params.how),
        };
        ending.effects()
    }
}
