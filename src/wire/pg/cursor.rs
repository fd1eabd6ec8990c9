//! Where one direction stands between two messages or in one.

use bytes::{Bytes, BytesMut};

use crate::wire::{LONGEST_HELD, Opaque};

/// The type byte, then the length that counts itself.
pub(super) const HEADER: usize = 5;
/// The length counts its own four bytes.
const SHORTEST: u32 = 4;

/// A position in the messages of one direction.
#[derive(Debug, Default)]
pub(super) struct Cursor {
    header: [u8; HEADER],
    /// Bytes of the header that were seen; 0 between two messages.
    have: usize,
    /// Bytes of the body that are still to come.
    rest: usize,
    /// The beginning of the body, as far as the scan itself needs it.
    body: Vec<u8>,
    /// Bytes of the body that the scan itself needs.
    keep: usize,
    /// A message that was wanted, and of which not all has come.
    held: BytesMut,
    /// The next message passes, wanted or not.
    pub(super) spared: bool,
}

/// How many bytes a message has as a whole, by its first bytes; `None` if its length has not come.
pub(super) fn size(bytes: &[u8]) -> Result<Option<usize>, Opaque> {
    let Some([_, length @ ..]) = bytes.first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes(*length);
    if (SHORTEST..=i32::MAX.cast_unsigned()).contains(&length) {
        Ok(Some(length as usize + 1))
    } else {
        Err(Opaque::Because("a message has an impossible length"))
    }
}

impl Cursor {
    /// Whether the next byte begins a message.
    pub(super) const fn is_between(&self) -> bool {
        self.have == 0
    }

    /// Whether part of a wanted message is held.
    pub(super) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    /// The kind of what is held.
    pub(super) fn kind(&self) -> Option<u8> {
        self.held.first().copied()
    }

    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    pub(super) fn take_held(&mut self) -> Bytes {
        std::mem::take(&mut self.held).freeze()
    }

    /// Undoes [`Self::take_held`].
    pub(super) fn put_back(&mut self, held: Bytes) {
        self.held = held.into();
    }

    /// Goes on in a message that is not whole in `bytes`; `keeps` says how many bytes of the body of
    /// a kind are needed. Returns the kind and the beginning of the body of a message that ends here.
    pub(super) fn walk(
        &mut self,
        bytes: &[u8],
        at: &mut usize,
        keeps: impl Fn(u8) -> usize,
    ) -> Result<Option<(u8, Vec<u8>)>, Opaque> {
        if self.have < HEADER {
            let rest = &bytes[*at..];
            let taken = rest.len().min(HEADER - self.have);
            self.header[self.have..self.have + taken].copy_from_slice(&rest[..taken]);
            self.have += taken;
            *at += taken;
            if self.have < HEADER {
                return Ok(None);
            }
            self.rest = size(&self.header)?.unwrap_or(HEADER) - HEADER;
            self.keep = keeps(self.header[0]).min(self.rest);
        }
        let passed = (bytes.len() - *at).min(self.rest);
        let kept = passed.min(self.keep - self.body.len());
        self.body.extend_from_slice(&bytes[*at..*at + kept]);
        self.rest -= passed;
        *at += passed;
        if self.rest > 0 {
            return Ok(None);
        }
        self.have = 0;
        self.spared = false;
        Ok(Some((self.header[0], std::mem::take(&mut self.body))))
    }

    /// Takes a wanted message, which begins in what is held or with `bytes`.
    pub(super) fn take(&mut self, bytes: &mut Bytes) -> Result<Taken, Opaque> {
        if self.held.is_empty() {
            match size(bytes)? {
                Some(size) if size > LONGEST_HELD => return Ok(Taken::TooLong),
                Some(size) if size <= bytes.len() => {
                    return Ok(Taken::Whole(bytes.split_to(size)));
                }
                _ => {
                    self.held.extend_from_slice(bytes);
                    bytes.clear();
                    return Ok(Taken::Part);
                }
            }
        }
        let missing = HEADER.saturating_sub(self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes.split_to(missing));
        let Some(size) = size(&self.held)? else {
            return Ok(Taken::Part);
        };
        if size > LONGEST_HELD {
            return Ok(Taken::TooLong);
        }
        let missing = (size - self.held.len()).min(bytes.len());
        self.held.extend_from_slice(&bytes.split_to(missing));
        if self.held.len() == size {
            Ok(Taken::Whole(self.take_held()))
        } else {
            Ok(Taken::Part)
        }
    }
}

/// What was there of a wanted message.
pub(super) enum Taken {
    Whole(Bytes),
    Part,
    /// It is longer than what is ever held.
    TooLong,
}
