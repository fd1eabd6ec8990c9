//! A reset in the middle of a conversation.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::ending::{End, Ending, UntilThen, When, too_late};
use crate::fault::{Effects, FaultKind, How, Objection};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct ResetPeer;

/// Parameters of a reset.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Time from the first byte, or end of a stream, to the reset. Default `0s`.
    #[serde(default)]
    pub delay: Period,
}

impl FaultKind for ResetPeer {
    const NAME: &'static str = "reset_peer";
    const SUMMARY: &'static str = "resets a connection as soon as it is used";
    const STORY: &'static str = "\
On the wire, the first byte or end of a stream that arrives in scope is held, and `delay` later \
both sides get RST. A connection that nobody uses is left alone, and so is one on which the fault \
is lifted before its time: what was held then goes on.

An application finds out at the worst moment: a connection that looked healthy in its pool breaks \
with \"connection reset by peer\" when it is used. In one direction only, toward the client, the \
server has done the work, and the answer is lost.

It stands for a restarted server, a firewall that forgot the connection, a peer that crashed. To \
end idle connections too, use `disconnect`.";
    type Params = Params;

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        too_late("delay", params.delay, length)
    }

    fn build(params: Params) -> Effects {
        let ending = Ending {
            when: When::Used(params.delay),
            until_then: UntilThen::Hold,
            how: End::Whole(How::Rst),
        };
        ending.effects()
    }
}
