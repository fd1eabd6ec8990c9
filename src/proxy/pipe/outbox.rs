//! What came out of a pipe and waits to be written.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Buf;

use crate::fault::{How, Payload};

/// Payloads in order, with what they cost.
#[derive(Default)]
pub(super) struct Outbox {
    queue: VecDeque<Payload>,
    cost: usize,
}

/// A place in the queue counts beside the bytes, so that a flood of tiny pieces is bounded too.
const PLACE: usize = size_of::<Payload>();

impl Outbox {
    pub(super) fn push(&mut self, payload: Payload) {
        if let Payload::Data(data) = &payload {
            self.cost += data.len() + PLACE;
        }
        self.queue.push_back(payload);
    }

    /// Fills `into` with the data before the next end; tells how many slices were filled.
    pub(super) fn slices<'a>(&'a self, into: &mut [IoSlice<'a>]) -> usize {
        let data = self.queue.iter().map_while(|payload| match payload {
            Payload::Data(data) => Some(data),
            Payload::Eof | Payload::End(_) => None,
        });
        let mut filled = 0;
        for (slot, data) in into.iter_mut().zip(data) {
            *slot = IoSlice::new(data);
            filled += 1;
        }
        filled
    }

    /// Drops the first `n` bytes.
    pub(super) fn consume(&mut self, mut n: usize) {
        while n > 0 {
            let Some(Payload::Data(data)) = self.queue.front_mut() else {
                debug_assert!(false, "consumed {n} bytes more than there were");
                return;
            };
            let taken = n.min(data.len());
            data.advance(taken);
            self.cost -= taken;
            if data.is_empty() {
                self.cost -= PLACE;
                self.queue.pop_front();
            }
            n -= taken;
        }
    }

    pub(super) fn pop(&mut self) -> Option<Payload> {
        let payload = self.queue.pop_front()?;
        if let Payload::Data(data) = &payload {
            self.cost -= data.len() + PLACE;
        }
        Some(payload)
    }

    /// The end of the connection that is the last of it.
    pub(super) fn end(&self) -> Option<How> {
        match self.queue.back() {
            Some(Payload::End(how)) => Some(*how),
            _ => None,
        }
    }

    /// What it costs of a bound.
    pub(super) const fn cost(&self) -> usize {
        self.cost
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn data_is_written_in_slices_up_to_an_end_and_consumed_across_them() {
        let mut outbox = Outbox::default();
        for part in ["abc", "de"] {
            outbox.push(Payload::Data(Bytes::from_static(part.as_bytes())));
        }
        outbox.push(Payload::Eof);
        outbox.push(Payload::Data(Bytes::from_static(b"never before the end")));

        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(outbox.slices(&mut slices), 2);
        assert_eq!((&*slices[0], &*slices[1]), (&b"abc"[..], &b"de"[..]));

        outbox.consume(4);
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(outbox.slices(&mut slices), 1);
        assert_eq!(&*slices[0], b"e");

        outbox.consume(1);
        assert_eq!(outbox.pop(), Some(Payload::Eof));
        assert_eq!(outbox.cost(), 20 + PLACE);
        assert!(outbox.pop().is_some() && outbox.is_empty() && outbox.cost() == 0);
    }
}
