//! Faults that act on the messages of a protocol.

use std::sync::Arc;

use bytes::Bytes;

use super::{Cx, How};
use crate::event::Impact;
use crate::units::Moment;
use crate::wire::{ExchangeId, Protocol, Then, Unit, Wants};

/// A fault on the messages of one connection. It stands before all faults on bytes, so that these
/// act on what it makes, too.
///
/// It sees the messages that it wants, whole and in order, each way. A message that began before
/// the fault came into force is none of them.
pub trait MessageFault: Send {
    /// Which messages it is to see; asked again after every call.
    fn wants(&self) -> Wants;

    /// A message that it wants has come. It passes unless the outlet says otherwise.
    fn on_unit(&mut self, cx: &mut Cx<'_>, unit: &Unit, data: &Bytes, out: &mut dyn MessageOutlet);

    /// A moment asked for by [`MessageOutlet::wake_at`] has come.
    fn on_wake(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn MessageOutlet) {}

    /// The fault is being lifted: it begins nothing new, and ends at once what it can.
    fn on_lift(&mut self, _cx: &mut Cx<'_>, _out: &mut dyn MessageOutlet) {}

    /// Whether a lifted fault has nothing left to do for exchanges that it touched. Until then it
    /// stays.
    fn done(&self) -> bool;
}

/// What becomes of a message.
pub trait MessageOutlet {
    /// These bytes pass in its place, unseen by later faults on messages.
    fn replace(&mut self, bytes: Bytes);
    /// It goes no further.
    fn swallow(&mut self);
    /// The server gets nothing of this exchange: the fault swallows the messages of its request and
    /// [replies](Self::reply). Answers to later exchanges wait for the end of the reply.
    fn claim(&mut self, exchange: ExchangeId);
    /// Answers a claimed exchange, in its turn.
    fn reply(&mut self, exchange: ExchangeId, bytes: Bytes, then: Then);
    /// The connection ends behind what passed in the direction of the message.
    fn end(&mut self, how: How);
    /// Asks for `on_wake` at a moment; a later call replaces an earlier one.
    fn wake_at(&mut self, at: Moment);
    /// Reports that an exchange was touched.
    fn hit(&mut self, exchange: ExchangeId, impact: Impact);
}

/// Makes one instance per connection, for connections that speak a protocol.
#[derive(Clone)]
pub struct MessageFactory {
    /// What has to be spoken.
    pub protocol: Protocol,
    /// Makes an instance.
    pub make: Arc<dyn Fn() -> Box<dyn MessageFault> + Send + Sync>,
}

impl std::fmt::Debug for MessageFactory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("MessageFactory")
            .field(&self.protocol)
            .finish()
    }
}
