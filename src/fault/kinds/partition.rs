//! Losing the network, in four ways that must not be confused.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::ending::{End, Ending, UntilThen, When};
use crate::fault::{
    Cx, Effects, Fault, FaultKind, How, ListenerPolicy, Outlet, Payload, Segment, StreamFactory,
};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Partition;

/// Parameters of a partition.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How the network is lost: `stall`, `unanswered`, `reject` or `refuse`. Default `stall`.
    #[serde(default)]
    pub mode: Mode,
    /// `stall` and `unanswered` only: what becomes of held bytes when the fault is lifted. `resume`
    /// delivers them late, as TCP would; `reset` resets the connections whose bytes were held.
    /// Default `resume`.
    #[serde(default)]
    pub on_heal: OnHeal,
    /// `reject` only: how long to wait for a client's first packet before the reset. Default `1s`.
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
    /// As `stall`, and the port answers no SYN: a host that is gone.
    Unanswered,
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
    const SUMMARY: &'static str = "cuts the path: stalled, unanswered, rejected or refused";
    const STORY: &'static str = "\
On the wire, the path is lost in one of four ways. `stall`: sockets stay open and kernels go on \
acknowledging, but bytes and ends of streams are held, those of new connections too, their startup \
packet included; after 4 MiB the sender is no longer read. When it heals, held bytes arrive late \
and in order (`resume`), or the connections that had bytes held are reset (`reset`). In one \
direction only, questions arrive and answers do not, or the reverse. `unanswered`: the same for \
existing connections, and the port answers nobody who knocks, because its queue of connections is \
full; when it heals, clients get through with their next SYN, which TCP sends after 1, 3, 7 s and so \
on. `reject`: existing connections \
are reset; new ones are accepted, their first packet is read, and they are reset, so that every \
attempt can be counted. `refuse`: existing connections are reset and the port answers new ones with \
\"connection refused\"; attempts no longer reach the proxy, and are counted only with CAP_NET_RAW.

An application sees, with `stall`, nothing at all: no error, no answer. TCP keepalive and \
TCP_USER_TIMEOUT do not help, because the kernel answers; only a deadline on the client's side does. \
`unanswered` adds connection attempts that hang, for two minutes unless the client has a deadline. \
With `reject` and `refuse` it sees errors at once, and what counts is how often it tries again.

`stall` stands for a hung host, a stopped process, a blocked disk; `unanswered` for a host that is \
gone or a firewall that drops; `reject` for a load balancer \
without a backend; `refuse` for a server that is down while its host is up.";
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        let holds = matches!(params.mode, Mode::Stall | Mode::Unanswered);
        if !holds && params.on_heal == OnHeal::Reset {
            let message = "only `stall` and `unanswered` hold bytes until it heals; remove \
                           `on_heal`, or choose one of these modes";
            return Err(("on_heal", message.to_owned()));
        }
        if params.mode != Mode::Reject && params.first_packet != first_packet() {
            let message = "only `reject` waits for a first packet; remove `first_packet`, or \
                           choose this mode";
            return Err(("first_packet", message.to_owned()));
        }
        Ok(())
    }

    fn severs(_params: &Params) -> bool {
        true
    }

    fn build(params: Params) -> Effects {
        let stalled = |listener| Effects {
            stream: Some(stall(params.on_heal)),
            listener,
            ..Effects::default()
        };
        let reset = |listener| Effects {
            listener: Some(listener),
            ..RESET_AT_ONCE.effects()
        };
        match params.mode {
            Mode::Stall => stalled(None),
            Mode::Unanswered => stalled(Some(ListenerPolicy::Ignore)),
            Mode::Reject => reset(ListenerPolicy::Reject {
                read_for: params.first_packet.get(),
            }),
            Mode::Refuse => reset(ListenerPolicy::Refuse),
        }
    }
}

const RESET_AT_ONCE: Ending = Ending {
    when: When::Begun(Period(Duration::ZERO)),
    until_then: UntilThen::Pass,
    how: End::Whole(How::Rst),
};

fn stall(on_heal: OnHeal) -> StreamFactory {
    Arc::new(move || {
        Box::new(Stall {
            on_heal,
            withheld: false,
        })
    })
}

struct Stall {
    on_heal: OnHeal,
    withheld: bool,
}

impl Fault for Stall {
    fn on_segment(&mut self, _cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        if matches!(segment.payload, Payload::Data(_)) {
            self.withheld = true;
            out.hit(Impact::Withheld);
        }
        out.hold(segment);
    }

    fn on_lift(&mut self, _cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        if self.withheld && self.on_heal == OnHeal::Reset {
            out.cut(How::Rst);
        }
    }
}
