//! Faults: what can go wrong on a connection, as pure data transformers, and around it, as pure
//! data.
//!
//! A stream fault takes a segment and a clock reading and says what comes out and when. It never
//! sleeps, reads or writes: the drivers in `proxy` do. So a fault is tested in
//! microseconds of virtual time, composes with others, and is added by writing one file in
//! `kinds` and one line in the registry.

mod armed;
pub mod catalogue;
mod dice;
mod ending;
pub mod kinds;
mod message;
pub mod ramp;
mod registry;
mod scope;
mod selection;
mod spread;
pub mod world;

pub use armed::{Armed, objection};
pub use dice::{ConnKey, Cup, scheduler};
pub use message::{MessageFactory, MessageFault, MessageOutlet};
pub use ramp::Ramp;
pub use registry::{BuildError, FaultKind, Kind, Objection, Subject, kind, kinds};
pub use scope::{Affect, Candidate, Scope, Ways};
pub use selection::{Network, Ordinals, Selection};
pub use spread::Distribution;
pub use world::WorldOp;

pub use crate::wire::{Direction, Protocol};

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::units::Moment;
use spread::Spread;

/// How a connection is ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// An orderly end: FIN.
    #[default]
    Fin,
    /// A reset: RST, unread data is lost.
    Rst,
}

/// What travels through a chain of faults. An end travels in band, behind what precedes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// Bytes; never empty.
    Data(Bytes),
    /// The sender finished its half (half-close).
    Eof,
    /// The whole connection ends.
    End(How),
}

/// A payload and its logical time at the present stage. A fault that makes several out of one
/// leaves them the arrival of the one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// When it came to the first stage.
    pub arrived: Moment,
    /// When it is due at this stage. Faults compute with this, not with the present moment, so
    /// that lateness does not add up along the chain.
    pub due: Moment,
    /// What it carries.
    pub payload: Payload,
}

impl Segment {
    /// What arrives now, and is due at once.
    pub const fn new(now: Moment, payload: Payload) -> Self {
        Self {
            arrived: now,
            due: now,
            payload,
        }
    }

    /// It leaves later, and not because of a fault.
    pub fn put_off(&mut self, due: Moment) {
        self.arrived = self.arrived + due.since(self.due);
        self.due = due;
    }

    /// Bytes that it carries.
    pub fn len(&self) -> usize {
        match &self.payload {
            Payload::Data(bytes) => bytes.len(),
            Payload::Eof | Payload::End(_) => 0,
        }
    }

    /// Whether it carries no bytes (an end).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a fault may know at a call.
#[derive(Debug)]
pub struct Cx<'a> {
    /// The present moment.
    pub now: Moment,
    /// The way of the segment; at `on_attach`, `on_wake` and `on_lift` each way is called in turn.
    pub direction: Direction,
    /// The connection.
    pub conn: &'a Candidate,
    /// The fault's name.
    pub fault: &'a str,
    /// Counts its repetitions from 0.
    pub occurrence: u32,
    /// When the fault was injected.
    pub since: Moment,
    /// Where [`Cx::rng`] keeps the dice from one call to the next, each way in a cup of its own.
    pub cup: &'a mut Cup,
}

impl Cx<'_> {
    /// When the fault began for this connection: at the injection, or at a later opening.
    fn began(&self) -> Moment {
        self.since.max(self.conn.opened)
    }

    /// This fault's own dice on this connection and way. They are keyed when they are first thrown:
    /// most faults throw none, and a change may reach thousands of connections at once.
    pub fn rng(&mut self) -> &mut ChaCha12Rng {
        self.cup.get_or_insert_with(|| {
            let key = &self.conn.key;
            Box::new(dice::generator(
                key,
                self.direction,
                self.fault,
                self.occurrence,
            ))
        })
    }

    /// The same call with other dice.
    fn with<'b>(&'b self, cup: &'b mut Cup) -> Cx<'b> {
        Cx { cup, ..*self }
    }
}

/// Where a fault puts what comes out.
pub trait Outlet {
    /// Passes a segment on at the due time that it carries, and not before what precedes it.
    fn pass(&mut self, segment: Segment);
    /// Parks a segment, and with it what follows, in this stage until the fault is lifted.
    fn hold(&mut self, segment: Segment);
    /// Asks for `on_wake` at a moment; a later call replaces an earlier one of the same way.
    fn wake_at(&mut self, at: Moment);
    /// Ends the connection now, beside the queue.
    fn cut(&mut self, how: How);
    /// Reports that the connection was touched; only the first report per occurrence counts.
    fn hit(&mut self, impact: Impact);
}

/// A fault on one connection; it sees the ways that its scope includes. Putting nothing into the
/// outlet swallows a segment; a stream that lost bytes cannot go on, so the connection is then cut
/// when the fault is lifted.
pub trait Fault: Any + Send {
    /// The fault came into force on this connection.
    fn on_attach(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn Outlet) {}

    /// A segment arrived at this stage.
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet);

    /// A moment asked for by [`Outlet::wake_at`] has come.
    fn on_wake(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn Outlet) {}

    /// The fault is being lifted; parked segments move on by themselves afterwards.
    fn on_lift(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn Outlet) {}

    /// Whether what leaves keeps its pace toward a peer that takes nothing for a while: then nothing
    /// leaves before the peer took what left before, and [`Self::resume`] follows.
    fn keeps_pace(&self) -> bool {
        false
    }

    /// The peer takes bytes again, and those parked that way, which were due by now, are to leave
    /// from now on as if they had just come. Some may have been due later.
    fn resume(&mut self, _cx: &Cx<'_>, _parked: &mut dyn Iterator<Item = &mut Segment>) {}

    /// Takes the place of `before`, the same fault with other parameters, on a live connection.
    /// What it parked stays where it is, and the dice go on. A fault that remembers something takes
    /// it over here, by a downcast.
    fn inherit(&mut self, _before: Box<dyn Any>) {}

    /// Bytes that may be parked in this stage per way before the sender is held back. Default
    /// 4 MiB.
    fn window(&self) -> usize {
        4 << 20
    }
}

/// Makes one fault instance per connection.
pub type StreamFactory = Arc<dyn Fn() -> Box<dyn Fault> + Send + Sync>;

/// What a fault does, once built. A kind may act in more than one place of a proxy.
#[derive(Clone, Default)]
pub struct Effects {
    /// On the bytes of each connection in scope.
    pub stream: Option<StreamFactory>,
    /// On the messages of each connection in scope.
    pub messages: Option<MessageFactory>,
    /// On the acceptance of new connections.
    pub listener: Option<ListenerPolicy>,
    /// Outside the byte stream.
    pub world: Option<WorldOp>,
}

impl std::fmt::Debug for Effects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Effects")
            .field("stream", &self.stream.is_some())
            .field("messages", &self.messages)
            .field("listener", &self.listener)
            .field("world", &self.world)
            .finish()
    }
}

/// What happens to clients that knock while a fault is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListenerPolicy {
    /// The port answers with RST to every SYN; the port itself stays reserved.
    Refuse,
    /// Accept, read the first packet for at most this long, then reset: every attempt is seen.
    Reject {
        /// How long to wait for the first packet.
        read_for: Duration,
    },
    /// No SYN is answered; the port itself stays reserved.
    Ignore,
    /// Accept, and wait so long before the server is connected and anything is read.
    Delay(Duration),
    /// Accept, and end the connection at once if more than so many are open.
    Limit {
        /// Connections that may be open.
        most: u64,
        /// How further ones are ended.
        how: How,
    },
}

impl ListenerPolicy {
    /// Whether it acts on the port, and so on everybody.
    pub const fn is_for_everybody(self) -> bool {
        matches!(self, Self::Refuse | Self::Ignore)
    }
}
