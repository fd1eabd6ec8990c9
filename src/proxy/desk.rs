use std::cell::{RefCell, RefMut};

use super::limits;
use super::timer::Timer;
use crate::units::Clock;

/// What all connections of a worker thread share.
#[derive(Debug)]
pub(super) struct Desk {
    clock: Clock,
    buffer: RefCell<Box<[u8]>>,
}

impl Desk {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            buffer: RefCell::new(vec![0; limits::BUFFER_BYTES].into()),
        }
    }

    /// A timer for one connection.
    pub(super) const fn timer(&self) -> Timer {
        Timer::new(self.clock)
    }

    /// The buffer to read into; it must be given back before the task yields.
    pub(super) fn buffer(&self) -> RefMut<'_, Box<[u8]>> {
        self.buffer.borrow_mut()
    }
}
