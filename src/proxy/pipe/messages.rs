//! Faults on messages: before the stages for bytes, and with the conversation that knows where a
//! message begins and which answer is next.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Signals;
use crate::event::{Impact, Name};
use crate::fault::{
    Armed, Candidate, Cup, Cx, Direction, How, MessageFault, MessageOutlet, Payload, Protocol,
};
use crate::units::Moment;
use crate::wire::{Conversation, Emit, ExchangeId, Opaque, Then, Unit, Wants};

/// The conversation of one connection, and the faults on its messages.
pub(super) struct Messages {
    protocol: Protocol,
    conversation: Conversation,
    stages: Vec<MessageStage>,
    /// What goes to the stages for bytes now.
    out: Vec<(Direction, Payload)>,
    /// What the server sent behind an answer of ours that is not complete.
    stash: VecDeque<Payload>,
    /// Whether there is a fault that can act, or something is owed.
    live: bool,
    /// Whether nothing is held, owed or waited for.
    quiet: bool,
    /// Whether all that was fed since [`Self::screen`] began came out as it was.
    intact: bool,
    /// The fault that claimed an exchange last.
    debtor: Option<Name>,
}

/// A fault on the messages of one connection.
struct MessageStage {
    fault: Name,
    occurrence: u32,
    since: Moment,
    /// `None` where no messages can be seen.
    acts: Option<Box<dyn MessageFault>>,
    lifted: bool,
    dice: [Cup; 2],
    wake: Option<Moment>,
    /// Exchanges that it touched.
    exchanges: u64,
    /// When it touched the last of them.
    last: Moment,
}

/// What pipe and stages hand in at each call.
pub(super) struct Around<'a> {
    pub(super) now: Moment,
    pub(super) conn: &'a Candidate,
    pub(super) signals: &'a mut Signals,
}

impl Messages {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            conversation: Conversation::new(protocol),
            stages: Vec::new(),
            out: Vec::new(),
            stash: VecDeque::new(),
            live: false,
            quiet: true,
            intact: true,
            debtor: None,
        }
    }

    /// Whether bytes have to come through here; otherwise [`Self::observe`] is enough.
    pub(super) const fn is_live(&self) -> bool {
        self.live
    }

    /// Whether bytes may be [screened](Self::screen) instead of accepted.
    pub(super) const fn is_quiet(&self) -> bool {
        !self.live || self.quiet
    }

    /// Whether the connection shows nothing, and nobody has to be told so again.
    pub(super) fn is_spent(&self) -> bool {
        !self.live && self.stages.is_empty() && self.conversation.opaque().is_some()
    }

    pub(super) fn set(&mut self, armed: &[Armed], around: &mut Around<'_>) {
        for index in 0..self.stages.len() {
            let stage = &self.stages[index];
            if !stage.lifted && !armed.iter().any(|armed| stage.is(armed)) {
                self.stages[index].lifted = true;
                self.ask(index, Direction::Upstream, around, |fault, cx, out| {
                    fault.on_lift(cx, out);
                });
            }
        }
        for armed in armed {
            let Some(factory) = &armed.effects.messages else {
                continue;
            };
            let is_new = !self.stages.iter().any(|stage| stage.is(armed));
            if is_new && armed.touches(around.conn) {
                let acts = (factory.protocol == self.protocol).then(|| (factory.make)());
                if acts.is_none() {
                    around.signals.unable(&armed.fault, lacks(factory.protocol));
                }
                self.stages.push(MessageStage::new(armed, acts));
            }
        }
        if self.conversation.opaque().is_some() {
            self.give_up(false, around);
        }
        self.settle(around);
    }

    /// Looks at bytes that pass by.
    pub(super) fn observe(&mut self, direction: Direction, bytes: &[u8], signals: &mut Signals) {
        self.conversation.observe(direction, bytes);
        signals.see(&mut self.conversation);
    }

    /// Takes bytes while it is quiet: whether they pass just as they are. Otherwise [`Self::take`]
    /// gives what comes out.
    pub(super) fn screen(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        around: &mut Around<'_>,
    ) -> bool {
        if !self.wants().any(direction) {
            self.observe(direction, bytes, around.signals);
            if self.conversation.opaque().is_some() {
                self.give_up(false, around);
                self.settle(around);
            }
            return true;
        }
        self.intact = true;
        self.feed(direction, Bytes::copy_from_slice(bytes), around);
        self.settle(around);
        let passes = self.intact && self.quiet && around.signals.is_silent();
        if passes {
            self.out.clear();
        }
        passes
    }

    /// What was read goes in; [`Self::take`] gives what comes out.
    pub(super) fn accept(
        &mut self,
        direction: Direction,
        payload: Payload,
        around: &mut Around<'_>,
    ) {
        let waits = direction == Direction::Downstream && !self.stash.is_empty();
        match payload {
            payload @ (Payload::Data(_) | Payload::Eof) if waits => self.stash.push_back(payload),
            Payload::Data(bytes) => self.feed(direction, bytes, around),
            end => {
                let held = self.conversation.release(direction, &Wants::NONE);
                self.put(direction, held);
                if direction == Direction::Downstream {
                    let stash = self.stash.drain(..);
                    self.out.extend(stash.map(|payload| (direction, payload)));
                }
                self.out.push((direction, end));
            }
        }
        self.settle(around);
    }

    /// Lets the faults act whose moment has come.
    pub(super) fn advance(&mut self, around: &mut Around<'_>) {
        for index in 0..self.stages.len() {
            if self.stages[index].wake.is_some_and(|at| at <= around.now) {
                self.stages[index].wake = None;
                self.ask(index, Direction::Upstream, around, |fault, cx, out| {
                    fault.on_wake(cx, out);
                });
            }
        }
        self.settle(around);
    }

    pub(super) fn next_wake(&self) -> Option<Moment> {
        self.stages.iter().filter_map(|stage| stage.wake).min()
    }

    /// Takes what goes to the stages for bytes, in order.
    pub(super) fn take(&mut self) -> Vec<(Direction, Payload)> {
        std::mem::take(&mut self.out)
    }

    /// What waits behind an answer of ours.
    pub(super) fn stashed(&self) -> usize {
        let stash = self.stash.iter();
        let bytes = stash.map(|payload| match payload {
            Payload::Data(bytes) => bytes.len(),
            Payload::Eof | Payload::End(_) => 0,
        });
        bytes.sum()
    }

    /// Parts of messages, and answers whose turn has not come.
    pub(super) fn held(&self, direction: Direction) -> usize {
        self.conversation.held(direction)
    }

    /// Reports what is not reported yet of the faults that are here.
    pub(super) fn finish(&mut self, signals: &mut Signals) {
        self.stages.iter().for_each(|stage| stage.report(signals));
        self.stages.clear();
    }

    /// One piece after the other: each is delivered before the faults are asked what they want next.
    fn feed(&mut self, direction: Direction, mut bytes: Bytes, around: &mut Around<'_>) {
        while !bytes.is_empty() && around.signals.cut.is_none() {
            let owed = self.conversation.owes();
            let was_opaque = self.conversation.opaque().is_some();
            match self.conversation.step(direction, &mut bytes, &self.wants()) {
                Emit::Pass(piece) => self.put(direction, piece),
                Emit::Unit(unit, data) => self.offer(direction, &unit, data, around),
                Emit::Kept => {}
                Emit::Blocked => {
                    self.stash
                        .push_front(Payload::Data(std::mem::take(&mut bytes)));
                }
            }
            if !was_opaque && self.conversation.opaque().is_some() {
                self.give_up(owed, around);
            }
            self.pay();
        }
    }

    /// Shows a message to the faults that want it, up to the first that keeps it.
    fn offer(&mut self, direction: Direction, unit: &Unit, data: Bytes, around: &mut Around<'_>) {
        let mut fate = Fate::Pass;
        let mut end = None;
        for index in 0..self.stages.len() {
            let wants = self.stages[index].wants();
            if !wants.includes(direction, unit.kind) {
                continue;
            }
            let asked = self.ask(index, direction, around, |fault, cx, out| {
                fault.on_unit(cx, unit, &data, out);
            });
            if let Some(asked) = asked {
                (fate, end) = asked;
            }
            if !matches!(fate, Fate::Pass) {
                break;
            }
        }
        self.intact &= matches!(fate, Fate::Pass) && end.is_none();
        match fate {
            Fate::Pass => self.put(direction, data),
            Fate::Replace(bytes) => self.put(direction, bytes),
            Fate::Swallow => {}
        }
        if let Some(how) = end {
            self.out.push((direction, Payload::End(how)));
        }
    }

    /// Lets a fault speak.
    fn ask(
        &mut self,
        index: usize,
        direction: Direction,
        around: &mut Around<'_>,
        call: impl FnOnce(&mut dyn MessageFault, &mut Cx<'_>, &mut dyn MessageOutlet),
    ) -> Option<(Fate, Option<How>)> {
        let stage = &mut self.stages[index];
        let acts = stage.acts.as_mut()?;
        let mut cx = Cx {
            now: around.now,
            direction,
            conn: around.conn,
            fault: &stage.fault,
            occurrence: stage.occurrence,
            since: stage.since,
            cup: &mut stage.dice[direction as usize],
        };
        let mut exit = Exit {
            conversation: &mut self.conversation,
            fate: Fate::Pass,
            end: None,
            wake: None,
            hits: Vec::new(),
            claims: false,
        };
        call(acts.as_mut(), &mut cx, &mut exit);
        let Exit {
            fate,
            end,
            wake,
            hits,
            claims,
            ..
        } = exit;
        stage.wake = wake.or(stage.wake);
        if claims {
            self.debtor = Some(stage.fault.clone());
        }
        for impact in hits {
            stage.hit(impact, around);
        }
        Some((fate, end))
    }

    /// Moves on what can move after anything has changed.
    fn settle(&mut self, around: &mut Around<'_>) {
        self.pay();
        while !self.conversation.is_blocked()
            && let Some(next) = self.stash.pop_front()
        {
            match next {
                Payload::Data(bytes) => self.feed(Direction::Downstream, bytes, around),
                end => self.out.push((Direction::Downstream, end)),
            }
        }
        self.stages.retain(|stage| {
            let stays = !stage.lifted || stage.acts.as_ref().is_some_and(|acts| !acts.done());
            if !stays {
                stage.report(around.signals);
            }
            stays
        });
        let wants = self.wants();
        for direction in Direction::BOTH {
            let held = self.conversation.release(direction, &wants);
            self.put(direction, held);
        }
        let acts = self.stages.iter().any(|stage| stage.acts.is_some());
        self.live = acts || self.conversation.owes() || !self.stash.is_empty();
        let held = Direction::BOTH.map(|direction| self.conversation.held(direction));
        self.quiet = held == [0, 0]
            && !self.conversation.owes()
            && self.stash.is_empty()
            && self.next_wake().is_none();
        around.signals.see(&mut self.conversation);
    }

    /// Gives the answers of ours whose turn has come.
    fn pay(&mut self) {
        while let Some((bytes, then)) = self.conversation.due() {
            self.intact = false;
            self.put(Direction::Downstream, bytes);
            if then == Then::Close {
                self.out
                    .push((Direction::Downstream, Payload::End(How::Fin)));
            }
        }
    }

    /// No messages can be seen any more. An exchange that was touched and cannot be brought to its
    /// end leaves nothing but to end the connection.
    fn give_up(&mut self, owed: bool, around: &mut Around<'_>) {
        if owed && let Some(fault) = &self.debtor {
            around.signals.cut(How::Rst, fault);
        }
        for direction in Direction::BOTH {
            let held = self.conversation.release(direction, &Wants::NONE);
            self.put(direction, held);
        }
        let why = self.conversation.opaque();
        for stage in &mut self.stages {
            let Some(acts) = stage.acts.take() else {
                continue;
            };
            stage.wake = None;
            if !acts.done() {
                around.signals.cut(How::Rst, &stage.fault);
            }
            if let Some(Opaque::Because(why)) = why {
                around.signals.unable(&stage.fault, why);
            }
        }
    }

    fn wants(&self) -> Wants {
        let stages = self.stages.iter().map(MessageStage::wants);
        stages.fold(Wants::NONE, Wants::or)
    }

    fn put(&mut self, direction: Direction, bytes: Bytes) {
        if !bytes.is_empty() {
            self.out.push((direction, Payload::Data(bytes)));
        }
    }
}

impl MessageStage {
    fn new(armed: &Armed, acts: Option<Box<dyn MessageFault>>) -> Self {
        Self {
            fault: armed.fault.clone(),
            occurrence: armed.occurrence,
            since: armed.since,
            acts,
            lifted: false,
            dice: [None, None],
            wake: None,
            exchanges: 0,
            last: Moment::ZERO,
        }
    }

    fn is(&self, armed: &Armed) -> bool {
        self.fault == armed.fault && self.occurrence == armed.occurrence
    }

    fn wants(&self) -> Wants {
        self.acts.as_ref().map_or(Wants::NONE, |acts| acts.wants())
    }

    /// The first touch is told at once, the others when the fault is done with the connection.
    fn hit(&mut self, impact: Impact, around: &mut Around<'_>) {
        // An end is told in any case: it says who ended the connection.
        if self.exchanges == 0 || impact == Impact::Closed {
            around.signals.hit(&self.fault, self.occurrence, impact);
        }
        self.exchanges += 1;
        self.last = around.now;
    }

    fn report(&self, signals: &mut Signals) {
        if self.exchanges > 0 {
            signals.touched(&self.fault, self.occurrence, self.exchanges, self.last);
        }
    }
}

/// Why a fault for a protocol can do nothing where another one is followed.
const fn lacks(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Postgres => "the proxy lacks `protocol = \"postgres\"`",
        Protocol::Http => "the proxy lacks `protocol = \"http\"`",
        Protocol::Tcp => "the proxy follows messages",
    }
}

enum Fate {
    Pass,
    Replace(Bytes),
    Swallow,
}

/// The outlet of a fault on messages.
struct Exit<'a> {
    conversation: &'a mut Conversation,
    fate: Fate,
    end: Option<How>,
    wake: Option<Moment>,
    hits: Vec<Impact>,
    claims: bool,
}

impl MessageOutlet for Exit<'_> {
    fn replace(&mut self, bytes: Bytes) {
        self.fate = Fate::Replace(bytes);
    }

    fn swallow(&mut self) {
        self.fate = Fate::Swallow;
    }

    fn claim(&mut self, exchange: ExchangeId) {
        self.claims = true;
        self.conversation.claim(exchange);
    }

    fn reply(&mut self, exchange: ExchangeId, bytes: Bytes, then: Then) {
        self.conversation.reply(exchange, &bytes, then);
    }

    fn end(&mut self, how: How) {
        self.end = Some(how);
    }

    fn wake_at(&mut self, at: Moment) {
        self.wake = Some(at);
    }

    fn hit(&mut self, _exchange: ExchangeId, impact: Impact) {
        self.hits.push(impact);
    }
}
