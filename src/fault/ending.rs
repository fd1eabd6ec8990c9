//! The end of a connection, as several kinds of faults bring it about.

use std::sync::Arc;
use std::time::Duration;

use super::{Cx, Effects, Fault, How, Objection, Outlet, Payload, Segment};
use crate::event::Impact;
use crate::units::{Moment, Period};

/// When and how a fault ends a connection, and what becomes of bytes until then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending {
    pub(super) when: When,
    pub(super) until_then: UntilThen,
    pub(super) how: End,
}

/// When a connection ends. A fault begins at the injection, or at a later opening.
#[derive(Debug, Clone, Copy)]
pub(super) enum When {
    /// So long after the fault began; zero is at once.
    Begun(Period),
    /// When the connection is so old.
    Aged(Period),
    /// So long after the first byte, or end of a stream, since the fault began.
    Used(Period),
    /// Once no byte was seen for so long since the fault began.
    Idle(Period),
    /// Behind so many bytes since the fault began, counted per way; zero is with the first byte.
    Carried(u64),
}

/// What becomes of bytes before the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UntilThen {
    /// They pass.
    Pass,
    /// They wait, and pass if the fault is lifted before the end.
    Hold,
    /// They are lost.
    Drop,
}

/// What is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The whole connection.
    Whole(How),
    /// The ways in scope only, by a FIN.
    Ways,
}

impl Ending {
    pub(super) fn effects(self) -> Effects {
        Effects {
            stream: Some(Arc::new(move || Box::new(Ender::new(self)))),
            ..Effects::default()
        }
    }
}

/// Objects to a `wait` of the parameter `key` that a fault of this length does not reach.
pub(super) fn too_late(
    key: &'static str,
    wait: Period,
    length: Option<Duration>,
) -> Option<Objection> {
    let message = "the fault is over before a connection ends; write less than it lasts";
    length
        .is_some_and(|length| wait.get() >= length)
        .then_some((key, message))
}

struct Ender {
    ending: Ending,
    /// Bytes that still pass, per way.
    left: [u64; 2],
    /// When a segment was last seen.
    active: Option<Moment>,
    /// The end was passed on, per way.
    over: [bool; 2],
}

impl Ender {
    const fn new(ending: Ending) -> Self {
        let left = match ending.when {
            When::Carried(bytes) => bytes,
            _ => 0,
        };
        Self {
            ending,
            left: [left; 2],
            active: None,
            over: [false; 2],
        }
    }

    /// Ends the connection now.
    fn end(&mut self, cx: &Cx<'_>, out: &mut dyn Outlet) {
        match self.ending.how {
            End::Whole(how) => {
                out.hit(Impact::Closed);
                out.cut(how);
            }
            End::Ways => self.end_behind(cx, &Segment::new(cx.now, Payload::Eof), out),
        }
    }

    /// Ends the way, or the connection, behind the bytes that passed.
    fn end_behind(&mut self, cx: &Cx<'_>, last: &Segment, out: &mut dyn Outlet) {
        if std::mem::replace(&mut self.over[cx.direction as usize], true) {
            return;
        }
        let payload = match self.ending.how {
            End::Whole(how) => Payload::End(how),
            End::Ways => Payload::Eof,
        };
        out.hit(Impact::Closed);
        out.pass(Segment {
            payload,
            ..last.clone()
        });
    }

    /// Passes the bytes that are left, and the end behind the last of them.
    fn count(&mut self, cx: &Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        let left = &mut self.left[cx.direction as usize];
        let passing = usize::try_from(*left).unwrap_or(usize::MAX).min(data.len());
        *left -= passing as u64;
        let is_last = *left == 0;
        if passing > 0 {
            let payload = Payload::Data(data.split_to(passing));
            out.pass(Segment { payload, ..segment });
        }
        if is_last {
            let payload = Payload::Eof;
            self.end_behind(cx, &Segment { payload, ..segment }, out);
        }
    }
}

impl Fault for Ender {
    fn on_attach(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        let end = match self.ending.when {
            When::Begun(wait) | When::Idle(wait) => cx.began() + wait.get(),
            When::Aged(age) => cx.conn.opened + age.get(),
            When::Used(_) | When::Carried(_) => return,
        };
        if end <= cx.now {
            self.end(cx, out);
        } else {
            out.wake_at(end);
        }
    }

    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let is_first = self.active.replace(cx.now).is_none();
        if let (true, When::Used(wait)) = (is_first, self.ending.when) {
            if wait.is_zero() {
                return self.end(cx, out);
            }
            out.wake_at(segment.due + wait.get());
        }
        let is_end = matches!(segment.payload, Payload::End(_));
        match (self.ending.when, self.ending.until_then) {
            // The receiver got the end already.
            _ if self.over[cx.direction as usize] && !is_end => out.hold(segment),
            (When::Carried(_), _) => self.count(cx, segment, out),
            (_, UntilThen::Pass) => out.pass(segment),
            (_, UntilThen::Hold) => {
                out.hit(Impact::Withheld);
                out.hold(segment);
            }
            // A connection that is gone need not wait.
            (_, UntilThen::Drop) if is_end => out.pass(segment),
            (_, UntilThen::Drop) if segment.is_empty() => {}
            (_, UntilThen::Drop) => out.hit(Impact::Withheld),
        }
    }

    fn on_wake(&mut self, cx: &mut Cx<'_>, out: &mut dyn Outlet) {
        match (self.ending.when, self.active) {
            (When::Idle(time), Some(active)) if active + time.get() > cx.now => {
                out.wake_at(active + time.get());
            }
            _ => self.end(cx, out),
        }
    }
}
