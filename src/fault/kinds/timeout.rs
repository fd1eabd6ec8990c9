//! Nothing gets through, and then the connection is closed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::ending::{End, Ending, UntilThen, When, too_late};
use crate::fault::{Effects, FaultKind, How, Objection};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Timeout;

/// Parameters of a timeout.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How long nothing gets through before the connection is closed: from the injection, or from
    /// the opening of a connection that is opened later.
    pub delay: Period,
    /// How it is closed. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for Timeout {
    const NAME: &'static str = "timeout";
    const SUMMARY: &'static str = "drops all bytes, then closes the connection";
    const STORY: &'static str = "\
On the wire, every byte in scope vanishes in the proxy, and after `delay` the connection is ended \
toward both its sides. A stream that lost bytes cannot go on, so a connection that lost some is \
reset when the fault is lifted earlier.

An application waits for an answer that never comes, and gets an end of the stream instead of it. \
Whether the work was done it cannot know. A deadline below `delay` finds out sooner.

It stands for a load balancer or a firewall that gives up on a connection that it can no longer \
serve. To hold bytes without losing them, use `partition`.";
    type Params = Params;

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        too_late("delay", params.delay, length)
    }

    fn severs(_params: &Params) -> bool {
        true
    }

    fn build(params: Params) -> Effects {
        let ending = Ending {
            when: When::Begun(params.delay),
            until_then: UntilThen::Drop,
            how: End::Whole(params.how),
        };
        ending.effects()
    }
}
