//! Connections end, and new ones are welcome.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Objection, Outlet, Payload, Segment};
use crate::units::{Moment, Period, Size};

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
        let message = "the fault is over before a connection ends; write less than it lasts";
        let waits = [("delay", params.delay), ("idle", params.idle)];
        let late = |time: Period| length.is_some_and(|length| time.get() >= length);
        let (key, _) = waits.into_iter().find(|(_, time)| late(*time))?;
        Some((key, message))
    }

    fn build(params: Params) -> Effects {
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Cut {
                    left: [params.bytes.0; 2],
                    params: params.clone(),
                    active: Moment::ZERO,
                    closed: [false; 2],
                })
            })),
            ..Effects::default()
        }
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

impl From<How> for Params {
    fn from(how: How) -> Self {
        Self {
            how: match how {
                How::Fin => End::Fin,
                How::Rst => End::Rst,
            },
            delay: Period::default(),
            bytes: Size::default(),
            idle: Period::default(),
        }
    }
}

struct Cut {
    params: Params,
    /// Bytes that still pass, per way.
    left: [u64; 2],
    /// When a byte was last seen.
    active: Moment,
    /// The end was passed on, per way.
    closed: [bool; 2],
}

impl Cut {
    fn end(&mut self, cx: &Cx<'_>, out: &mut dyn Outlet) {
        let how = match self.params.how {
            End::Fin => How::Fin,
            End::Rst => How::Rst,
            End::HalfClose => {
                return self.pass(cx, Segment::new(cx.now, Payload::Eof), out);
            }
        };
        out.hit(Impact::Closed);
        out.cut(how);
    }

    /// Sends an end behind the bytes that passed.
    fn pass(&mut self, cx: &Cx<'_>, end: Segment, out: &mut dyn Outlet) {
        if !std::mem::replace(&mut self.closed[cx.direction as usize], true) {
            out.hit(Impact::Closed);
            out.pass(end);
        }
    }

    /// Passes what may pass, and the end behind it.
    fn count(&mut self, cx: &Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let left = &mut self.left[cx.direction as usize];
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        let passing = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
        *left -= passing as u64;
        let over = *left == 0;
        let payload = Payload::Data(data.split_to(passing));
        out.pass(Segment { payload, ..segment });
        if over {
            let payload = match self.params.how {
                End::Fin => Payload::End(How::Fin),
                End::Rst => Payload::End(How::Rst),
                End::HalfClose => Payload::Eof,
            };
            self.pass(cx, Segment { payload, ..segment }, out);
        }
    }
}

impl Fault for Cut {
    fn on_attach(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        self.active = cx.began();
        if self.params.conditions().is_empty() {
            self.end(cx, out);
        } else if self.params.bytes.0 == 0 {
            out.wake_at(cx.began() + self.params.delay.max(self.params.idle).get());
        }
    }

    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        self.active = cx.now;
        let over = self.closed[cx.direction as usize];
        if over && !matches!(segment.payload, Payload::End(_)) {
            // The receiver was told that nothing more comes.
            out.hold(segment);
        } else if self.params.bytes.0 > 0 {
            self.count(cx, segment, out);
        } else {
            out.pass(segment);
        }
    }

    fn on_wake(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        let quiet_until = self.active + self.params.idle.get();
        if quiet_until > cx.now && !self.params.idle.is_zero() {
            out.wake_at(quiet_until);
        } else {
            self.end(cx, out);
        }
    }
}

/// Ends each connection at once, as `partition` does it too.
pub(super) fn at_once(how: How) -> crate::fault::StreamFactory {
    Disconnect::build(how.into())
        .stream
        .expect("a disconnect acts on streams")
}
