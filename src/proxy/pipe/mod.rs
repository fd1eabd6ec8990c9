//! The only place where faults act on bytes: a chain of stages, one per fault, for one connection.
//!
//! A pipe never sleeps, reads or writes. Its driver pushes what was read, advances it when
//! [`Pipe::next_wake`] has come, and writes what came out. Each stage parks its own data, so a
//! lifted fault gives back its share at once; whatever comes and goes, no byte is lost, doubled or
//! overtaken. What is parked is bounded, and [`Pipe::room`] carries the bound back to the sender.

mod budget;
mod messages;
mod outbox;
mod stage;
#[cfg(test)]
mod tests;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Impact, Name};
use crate::fault::{Armed, Candidate, Direction, How, Payload, Protocol, Segment};
use crate::units::Moment;
use crate::wire::{Conversation, Observation};
use budget::Account;
pub use budget::Budget;
use messages::{Around, Messages};
use outbox::Outbox;
use stage::Stage;

/// What may wait to be written per way before the sender is held back: 1 MiB.
const MOST_UNWRITTEN: usize = 1 << 20;

/// Both ways of one connection through the faults in force.
pub struct Pipe {
    conn: Candidate,
    protocol: Protocol,
    /// Present while messages are followed, or a fault wants to see some.
    messages: Option<Box<Messages>>,
    stages: Vec<Stage>,
    outboxes: [Outbox; 2],
    /// For each way, whether the peer took less than it was offered since its outbox was last empty.
    stalled: [bool; 2],
    signals: Signals,
    account: Account,
    /// See [`Self::released`].
    released: Vec<Release>,
}

/// The first touch of a fault's occurrence on this connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The fault.
    pub fault: Name,
    /// Counts its repetitions from 0.
    pub occurrence: u32,
    /// What the connection felt.
    pub impact: Impact,
}

/// Something else worth recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// The connection showed something.
    Seen(Observation),
    /// A fault on messages can see none of this connection.
    Unable {
        /// The fault.
        fault: Name,
        /// Why.
        why: &'static str,
    },
    /// A fault on messages is done with this connection.
    Touched {
        /// The fault.
        fault: Name,
        /// Counts its repetitions from 0.
        occurrence: u32,
        /// How many exchanges it touched, more than none.
        exchanges: u64,
        /// When it touched the last of them.
        last: Moment,
    },
}

/// Bytes that faults held, as they leave the pipe in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Which way they go.
    pub direction: Direction,
    /// When they came in.
    pub arrived: Moment,
    /// When they were to leave: the faults wanted it, or what held them was lifted.
    pub due: Moment,
    /// When they did.
    pub left: Moment,
}

impl Release {
    /// How long faults held them.
    pub const fn held(&self) -> Duration {
        self.due.since(self.arrived)
    }

    /// How much longer they stayed.
    pub const fn late(&self) -> Duration {
        self.left.since(self.due)
    }
}

impl Pipe {
    /// A pipe without faults, which holds no more than the budget of all pipes allows. The messages
    /// of what chaosproxy itself asks are not followed.
    pub fn new(conn: Candidate, protocol: Protocol, budget: Arc<Budget>) -> Self {
        let followed = protocol != Protocol::Tcp && !conn.own;
        Self {
            conn,
            protocol,
            messages: followed.then(|| Box::new(Messages::new(protocol))),
            stages: Vec::new(),
            outboxes: Default::default(),
            stalled: [false; 2],
            signals: Signals::default(),
            account: Account::new(budget),
            released: Vec::new(),
        }
    }

    /// Puts exactly those of `armed` in force that touch this connection. Faults already in force
    /// stay where they are, with the parameters that they have now; missing ones are lifted first
    /// (what they parked moves on at once), new ones are appended. `active` is when a byte last
    /// went through the connection, if one ever did.
    pub fn set(&mut self, now: Moment, armed: &[Armed], active: Moment) {
        self.conn.active = self.conn.active.max(active);
        self.set_messages(now, armed);
        // From the last to the first, so that what an earlier stage gives back comes behind.
        for index in (0..self.stages.len()).rev() {
            if !armed.iter().any(|armed| self.stages[index].is(armed)) {
                self.lift(now, index);
            }
        }
        for armed in armed {
            let Some(factory) = &armed.effects.stream else {
                continue;
            };
            if let Some(stage) = self.stages.iter_mut().find(|stage| stage.is(armed)) {
                stage.follow(armed, factory);
            } else if self.signals.cut.is_none() && armed.touches(&self.conn) {
                let stage = Stage::attach(now, armed, factory, &self.conn, &mut self.signals);
                self.stages.push(stage);
            }
        }
        self.advance(now);
    }

    /// As [`Self::set`], of faults on messages.
    fn set_messages(&mut self, now: Moment, armed: &[Armed]) {
        let wanted = armed.iter().any(|armed| armed.effects.messages.is_some());
        if self.messages.is_none() && (!wanted || self.conn.own) {
            return;
        }
        let new = || Box::new(Messages::new(self.protocol));
        self.messages.get_or_insert_with(new);
        self.through(now, |messages, around| messages.set(armed, around));
        let is_spent = self
            .messages
            .as_ref()
            .is_some_and(|messages| messages.is_spent());
        if is_spent && self.protocol == Protocol::Tcp {
            self.messages = None;
        }
    }

    /// Looks at bytes that were read and are not pushed.
    pub fn observe(&mut self, direction: Direction, bytes: &[u8]) {
        if let Some(messages) = &mut self.messages {
            messages.observe(direction, bytes, &mut self.signals);
        }
    }

    /// Looks at bytes that were read while the pipe is idle: whether they pass as they are, so that
    /// the driver writes them itself. Otherwise the pipe has taken them.
    pub fn screen(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        now: impl FnOnce() -> Moment,
    ) -> bool {
        if !self
            .messages
            .as_ref()
            .is_some_and(|messages| messages.is_live())
        {
            self.observe(direction, bytes);
            return true;
        }
        let now = now();
        let mut passes = false;
        self.through(now, |messages, around| {
            passes = messages.screen(direction, bytes, around);
        });
        if !passes {
            for direction in Direction::BOTH {
                self.settle(now, 0, direction);
            }
            self.charge();
        }
        passes
    }

    /// What was read goes in.
    pub fn push(&mut self, now: Moment, direction: Direction, payload: Payload) {
        if self.signals.cut.is_some() {
            return;
        }
        if self
            .messages
            .as_ref()
            .is_some_and(|messages| messages.is_live())
        {
            self.through(now, |messages, around| {
                messages.accept(direction, payload, around);
            });
            self.settle(now, 0, direction.reverse());
        } else {
            if let Payload::Data(bytes) = &payload {
                self.observe(direction, bytes);
            }
            self.deliver(now, 0, direction, Segment::new(now, payload));
        }
        self.settle(now, 0, direction);
        self.charge();
    }

    /// Calls the faults on messages, and hands what comes out to the first stage.
    fn through(&mut self, now: Moment, call: impl FnOnce(&mut Messages, &mut Around<'_>)) {
        let Some(messages) = &mut self.messages else {
            return;
        };
        let mut around = Around {
            now,
            conn: &self.conn,
            signals: &mut self.signals,
        };
        call(messages, &mut around);
        for (direction, payload) in messages.take() {
            self.deliver(now, 0, direction, Segment::new(now, payload));
        }
    }

    /// What is due moves on.
    pub fn advance(&mut self, now: Moment) {
        if self
            .messages
            .as_ref()
            .is_some_and(|messages| messages.is_live())
        {
            self.through(now, Messages::advance);
        }
        for direction in Direction::BOTH {
            self.settle(now, 0, direction);
        }
        self.charge();
    }

    /// When [`Self::advance`] will have something to do; `None` if not by itself.
    pub fn next_wake(&self) -> Option<Moment> {
        if self.signals.cut.is_some() {
            return None;
        }
        let written = Direction::BOTH.map(|direction| !self.has_output(direction));
        self.stages
            .iter()
            .filter_map(|stage| stage.next_wake(written))
            .chain(
                self.messages
                    .as_ref()
                    .and_then(|messages| messages.next_wake()),
            )
            .min()
    }

    /// How many bytes may still be read; 0 means to stop reading until it grows again.
    pub fn room(&self, direction: Direction) -> usize {
        let unwritten = self.outboxes[direction as usize].cost();
        // Once no fault is left, what waits goes first: then bytes bypass the pipe again.
        if self.stages.is_empty() && unwritten > 0 {
            return 0;
        }
        if self.waits_for_answer(direction) {
            return 0;
        }
        let held = self.held(direction);
        let allowed = self.account.allowance(held).saturating_sub(held);
        self.stages
            .iter()
            .map(|stage| stage.room(direction))
            .fold(allowed, usize::min)
            .min(MOST_UNWRITTEN.saturating_sub(unwritten))
    }

    /// Whether an answer of ours has to be given before more is read: what it keeps back is not to
    /// grow, and neither are the answers that wait behind others.
    fn waits_for_answer(&self, direction: Direction) -> bool {
        let Some(messages) = self.messages.as_ref().filter(|messages| messages.is_live()) else {
            return false;
        };
        match direction {
            Direction::Upstream => messages.held(Direction::Downstream) > MOST_UNWRITTEN,
            Direction::Downstream => messages.stashed() > 0,
        }
    }

    /// What stages park that way, and what waits to be written.
    fn held(&self, direction: Direction) -> usize {
        let parked = self.stages.iter().map(|stage| stage.parked(direction));
        parked.sum::<usize>() + self.outboxes[direction as usize].cost()
    }

    /// Settles the account after a change of what is held.
    fn charge(&mut self) {
        let held = Direction::BOTH.map(|direction| self.held(direction));
        let messages = self.messages.as_ref().filter(|messages| messages.is_live());
        let messages = messages.map_or(0, |messages| {
            let held = Direction::BOTH.map(|direction| messages.held(direction));
            messages.stashed() + held.iter().sum::<usize>()
        });
        self.account.settle(held.iter().sum::<usize>() + messages);
    }

    /// Whether anything came out that was not taken yet.
    pub fn has_output(&self, direction: Direction) -> bool {
        !self.outboxes[direction as usize].is_empty()
    }

    /// The end of the connection that stands behind everything that waits to be written.
    pub fn end(&self, direction: Direction) -> Option<How> {
        self.outboxes[direction as usize].end()
    }

    /// Fills `into` with what is to be written, up to the next end; tells how many slices were
    /// filled. When none were, [`Self::pop`] gives the end, if there is one.
    pub fn slices<'a>(&'a self, direction: Direction, into: &mut [IoSlice<'a>]) -> usize {
        self.outboxes[direction as usize].slices(into)
    }

    /// The peer takes no more at present.
    pub const fn stall(&mut self, direction: Direction) {
        self.stalled[direction as usize] = true;
    }

    /// The first `n` bytes of [`Self::slices`] were written.
    pub fn consume(&mut self, direction: Direction, n: usize) {
        self.outboxes[direction as usize].consume(n);
        self.charge();
    }

    /// Takes the next payload as a whole.
    pub fn pop(&mut self, direction: Direction) -> Option<Payload> {
        let payload = self.outboxes[direction as usize].pop();
        self.charge();
        payload
    }

    /// The fault that ended the connection. Nothing moves any more; both legs are to be closed now,
    /// whatever is still unwritten.
    pub fn cut(&self) -> Option<(How, &Name)> {
        let (how, fault) = self.signals.cut.as_ref()?;
        Some((*how, fault))
    }

    /// Whether bytes may as well bypass the pipe: no fault on bytes, nothing parked or owed, nothing
    /// to be written. They are still to be [screened](Self::screen).
    pub fn idle(&self) -> bool {
        self.stages.is_empty()
            && self
                .messages
                .as_ref()
                .is_none_or(|messages| messages.is_quiet())
            && self.signals.cut.is_none()
            && self.outboxes.iter().all(Outbox::is_empty)
    }

    /// Since when the stages hold something back that way: the arrival of the oldest piece.
    pub fn holds_since(&self, direction: Direction) -> Option<Moment> {
        let stages = self.stages.iter();
        stages
            .filter_map(|stage| stage.holds_since(direction))
            .min()
    }

    /// Hands out what left since the last call and had been held, in order for each way.
    pub fn released(&mut self, each: impl FnMut(Release)) {
        self.released.drain(..).for_each(each);
        if self.stages.is_empty() {
            // Gives the memory back: an idle connection keeps none.
            self.released = Vec::new();
        }
    }

    /// Takes the hits since the last call.
    pub fn hits(&mut self) -> Vec<Hit> {
        std::mem::take(&mut self.signals.hits)
    }

    /// Takes what else is worth recording since the last call.
    pub fn notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.signals.notes)
    }

    /// The connection is over: what faults did until now is told.
    pub fn finish(&mut self) {
        if let Some(messages) = &mut self.messages {
            messages.finish(&mut self.signals);
        }
    }

    fn lift(&mut self, now: Moment, index: usize) {
        self.stages[index].lift(now, &self.conn, &mut self.signals);
        if self.signals.cut.is_some() {
            return;
        }
        let stage = self.stages.remove(index);
        for (direction, parked) in Direction::BOTH.into_iter().zip(stage.into_parked(now)) {
            for segment in parked {
                self.deliver(now, index, direction, segment);
            }
            self.settle(now, index, direction);
        }
    }

    /// Hands a segment to the stage at `index`, or out behind the last.
    fn deliver(&mut self, now: Moment, index: usize, direction: Direction, segment: Segment) {
        if let Some(stage) = self.stages.get_mut(index) {
            stage.accept(now, direction, segment, &self.conn, &mut self.signals);
        } else {
            if segment.due > segment.arrived && !segment.is_empty() {
                self.released.push(Release {
                    direction,
                    arrived: segment.arrived,
                    due: segment.due,
                    left: now,
                });
            }
            self.outboxes[direction as usize].push(segment.payload);
        }
    }

    /// Moves what is due from stage to stage, beginning at `from`; one pass does, because bytes
    /// only move on.
    fn settle(&mut self, now: Moment, from: usize, direction: Direction) {
        let written = !self.has_output(direction);
        let resumes = from == 0 && written && std::mem::take(&mut self.stalled[direction as usize]);
        for index in from..self.stages.len() {
            let stage = &mut self.stages[index];
            stage.wake(now, direction, &self.conn, &mut self.signals);
            let keeps_pace = stage.keeps_pace(direction);
            if keeps_pace && resumes {
                stage.resume(now, direction, &self.conn);
            }
            while self.signals.cut.is_none()
                && !(keeps_pace && self.has_output(direction))
                && let Some(segment) = self.stages[index].release(now, direction)
            {
                self.deliver(now, index + 1, direction, segment);
            }
        }
    }
}

/// What faults say beside the bytes.
#[derive(Default)]
struct Signals {
    hits: Vec<Hit>,
    notes: Vec<Note>,
    cut: Option<(How, Name)>,
}

impl Signals {
    fn hit(&mut self, fault: &Name, occurrence: u32, impact: Impact) {
        self.hits.push(Hit {
            fault: fault.clone(),
            occurrence,
            impact,
        });
    }

    /// A fault cannot see messages.
    fn unable(&mut self, fault: &Name, why: &'static str) {
        self.notes.push(Note::Unable {
            fault: fault.clone(),
            why,
        });
    }

    /// A fault is done with so many exchanges.
    fn touched(&mut self, fault: &Name, occurrence: u32, exchanges: u64, last: Moment) {
        self.notes.push(Note::Touched {
            fault: fault.clone(),
            occurrence,
            exchanges,
            last,
        });
    }

    /// Whether no fault has said anything since the last call of [`Pipe::hits`].
    fn is_silent(&self) -> bool {
        self.hits.is_empty() && self.cut.is_none()
    }

    fn see(&mut self, conversation: &mut Conversation) {
        self.notes
            .extend(conversation.seen().into_iter().map(Note::Seen));
    }

    /// The first one counts.
    fn cut(&mut self, how: How, fault: &Name) {
        self.cut.get_or_insert_with(|| (how, fault.clone()));
    }
}
