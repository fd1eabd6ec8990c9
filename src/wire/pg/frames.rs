//! Where one message ends and the next begins.

/// The type byte, then the length that counts itself.
const HEADER: usize = 5;
/// The length counts its own four bytes.
const SHORTEST: u32 = 4;

/// Follows the messages of one way through chunks of any size. It keeps a header and a count,
/// never a body, and after each chunk it knows whether that ended between two messages.
#[derive(Debug, Default)]
pub(super) struct Frames {
    header: [u8; HEADER],
    /// Bytes of the header that were seen.
    have: usize,
    /// Bytes of the body that are still to come.
    rest: usize,
}

/// A length that no message can have; what follows cannot be told apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Frames {
    /// Walks over a chunk and names the type of each message that ends in it.
    pub(super) fn follow(
        &mut self,
        mut chunk: &[u8],
        mut ended: impl FnMut(u8),
    ) -> Result<(), Malformed> {
        while !chunk.is_empty() {
            if self.have < HEADER {
                let taken = chunk.len().min(HEADER - self.have);
                self.header[self.have..self.have + taken].copy_from_slice(&chunk[..taken]);
                self.have += taken;
                chunk = &chunk[taken..];
                if self.have < HEADER {
                    return Ok(());
                }
                self.rest = self.body()?;
            }
            let passed = chunk.len().min(self.rest);
            self.rest -= passed;
            chunk = &chunk[passed..];
            if self.rest == 0 {
                self.have = 0;
                ended(self.header[0]);
            }
        }
        Ok(())
    }

    /// The length of the body, by the header.
    fn body(&self) -> Result<usize, Malformed> {
        let [_, length @ ..] = self.header;
        let length = u32::from_be_bytes(length);
        if !(SHORTEST..=i32::MAX.cast_unsigned()).contains(&length) {
            return Err(Malformed);
        }
        Ok((length - SHORTEST) as usize)
    }
}
