use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Sleep;

use crate::units::{Clock, Moment};

/// Wakes one task at one moment at a time. Allocates nothing until it is first used.
#[derive(Debug)]
pub(super) struct Timer {
    clock: Clock,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(super) const fn new(clock: Clock) -> Self {
        Self { clock, sleep: None }
    }

    /// Ready once `deadline` has come; until then the task will be woken at it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Moment) -> Poll<()> {
        let instant = self.clock.instant(deadline).into();
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(instant)));
        if sleep.deadline() != instant {
            sleep.as_mut().reset(instant);
        }
        sleep.as_mut().poll(cx)
    }
}
