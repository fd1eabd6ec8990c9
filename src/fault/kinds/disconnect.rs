//! Connections end, and new ones are welcome.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::ending::{self, Ending, UntilThen, When, too_late};
use crate::fault::{Effects, FaultKind, How, Objection};
use crate::units::{Period, Size};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Disconnect;

/// Parameters of a disconnect.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How connections are ended: `fin` in an orderly way, `rst` by a reset, `half_close` by a FIN
    /// in the ways in scope only. Default `fin`.
    #[serde(default)]
    pub how: End,
    /// Ends a connection so long after the injection, or after its opening if that is later.
    /// Default `0s`: at once.
    #[serde(default)]
    pub delay: Period,
    /// Ends a connection behind so many bytes in a way in scope, counted from the injection or from
    /// the opening of a connection that is opened later. Default `0B`: at once.
    #[serde(default)]
    pub bytes: Size,
    /// Ends a connection once no byte went through it, in the ways in scope, for so long since the
    /// injection. Default `0s`: at once.
    #[serde(default)]
    pub idle: Period,
}

/// How connections are ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// An orderly end toward both sides.
    #[default]
    Fin,
    /// A reset toward both sides.
    Rst,
    /// An orderly end of one way; the other goes on.
    HalfClose,
}

impl FaultKind for Disconnect {
    const NAME: &'static str = "disconnect";
    const SUMMARY: &'static str =
        "ends connections with FIN, RST or half a FIN; new ones are welcome";
    const STORY: &'static str = "\
On the wire, every connection in scope is ended toward both its sides, with FIN or with RST: at \
the injection, or after a time, a number of bytes, or a time without bytes. Bytes still under way \
through other faults are lost, save before an end that comes behind a number of bytes. With \
`half_close` only the receiver of the way in scope gets FIN, what the sender still sends is \
dropped, and the other way goes on. An end at the injection needs no length: the fault acts once. \
With one, new connections in scope are ended too, until it is lifted.

An application sees, with `fin`, an unexpected end of the stream; with `rst`, \"connection reset by \
peer\". An idle pool notices only when it next uses a connection, and a statement that was under way \
may or may not have been carried out. Connecting again succeeds at once.

It stands for a restarted pooler or load balancer, a server that ends idle sessions, an expired \
entry of a firewall, an operator who terminates sessions.";
    type Params = Params;

    fn lasts(params: &Params) -> bool {
        !params.conditions().is_empty()
    }

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if let [_, second, ..] = *params.conditions() {
            let message = "connections end after a time, a number of bytes or a time without bytes; \
                           keep one of `delay`, `bytes` and `idle`";
            return Err((second, message.to_owned()));
        }
        Ok(())
    }

    fn futile(params: &Params, length: Option<Duration>) -> Option<Objection> {
        too_late("delay", params.delay, length).or_else(|| too_late("idle", params.idle, length))
    }

    fn build(params: Params) -> Effects {
        let when = match params.conditions()[..] {
            ["bytes"] => When::Carried(params.bytes.0),
            ["idle"] => When::Idle(params.idle),
            _ => When::Begun(params.delay),
        };
        let ending = Ending {
            when,
            until_then: UntilThen::Pass,
            how: match params.how {
                End::Fin => ending::End::Whole(How::Fin),
                End::Rst => ending::End::Whole(How::Rst),
                End::HalfClose => ending::End::Ways,
            },
        };
        ending.effects()
    }
}

impl Params {
    /// The parameters that say when a connection ends.
    fn conditions(&self) -> Vec<&'static str> {
        let given = [
            ("delay", !self.delay.is_zero()),
            ("bytes", self.bytes.0 > 0),
            ("idle", !self.idle.is_zero()),
        ];
        let given = given.into_iter().filter(|(_, given)| *given);
        given.map(|(key, _)| key).collect()
    }
}
