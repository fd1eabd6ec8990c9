//! Where a body in chunks ends.

/// A position in a chunked body.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Chunked {
    /// At the first digit of a chunk's size.
    #[default]
    Begin,
    /// In the size.
    Size(u64),
    /// In an extension of the size.
    Extension(u64),
    /// Behind the CR of the size.
    SizeEnd(u64),
    /// So many bytes of the chunk are to come.
    Data(u64),
    /// Behind the chunk.
    DataEnd,
    /// Behind the CR behind the chunk.
    DataLineFeed,
    /// At the beginning of a trailer, or of the empty line.
    Trailers,
    /// In a trailer.
    Trailer,
    /// Behind the CR of a trailer.
    TrailerEnd,
    /// Behind the CR of the empty line.
    LastLineFeed,
}

/// Not a chunked body, or not one that all read alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Chunked {
    /// Walks over `bytes`: how many belong to the body, and whether it ends with them.
    pub(super) fn walk(&mut self, bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        let mut at = 0;
        while at < bytes.len() {
            if let Self::Data(left) = *self {
                let passed = left.min((bytes.len() - at) as u64);
                *self = if passed == left {
                    Self::DataEnd
                } else {
                    Self::Data(left - passed)
                };
                at += usize::try_from(passed).unwrap_or(usize::MAX);
                continue;
            }
            at += 1;
            if self.next(bytes[at - 1])? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// Goes on by one byte that is not data: whether the body ends with it.
    fn next(&mut self, byte: u8) -> Result<bool, Malformed> {
        *self = match (*self, byte) {
            (Self::Begin, _) => Self::Size(digit(0, byte).ok_or(Malformed)?),
            (Self::Size(size) | Self::Extension(size), b'\r') => Self::SizeEnd(size),
            (Self::Size(size), b';') => Self::Extension(size),
            (Self::Size(size), _) => Self::Size(digit(size, byte).ok_or(Malformed)?),
            (Self::Extension(size), byte) if byte != b'\n' => Self::Extension(size),
            (Self::SizeEnd(0) | Self::TrailerEnd, b'\n') => Self::Trailers,
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataLineFeed,
            (Self::DataLineFeed, b'\n') => Self::Begin,
            (Self::Trailers, b'\r') => Self::LastLineFeed,
            (Self::Trailer, b'\r') => Self::TrailerEnd,
            (Self::Trailers | Self::Trailer, byte) if byte != b'\n' => Self::Trailer,
            (Self::LastLineFeed, b'\n') => return Ok(true),
            _ => return Err(Malformed),
        };
        Ok(false)
    }
}

/// A size with another hexadecimal digit behind it.
fn digit(size: u64, byte: u8) -> Option<u64> {
    let digit = char::from(byte).to_digit(16)?;
    size.checked_mul(16)?.checked_add(u64::from(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(bytes: &[u8]) -> Result<(usize, bool), Malformed> {
        Chunked::default().walk(bytes)
    }

    #[test]
    fn a_body_ends_behind_its_last_chunk_and_its_trailers() {
        for body in [
            &b"0\r\n\r\n"[..],
            b"3\r\nabc\r\n00a;x=\"y\"\r\n0123456789\r\n0\r\n\r\n",
            b"1\r\na\r\n0\r\nName: value\r\nOther: value\r\n\r\n",
        ] {
            assert_eq!(walk(body), Ok((body.len(), true)));
            assert_eq!(walk(&[body, b"GET"].concat()), Ok((body.len(), true)));
            assert_eq!(walk(&body[..body.len() - 1]), Ok((body.len() - 1, false)));
        }
    }

    #[test]
    fn what_parsers_read_differently_is_malformed() {
        for body in [
            &b"\r\n"[..],
            b"3 \r\nabc\r\n",
            b"3\nabc\n",
            b"0x3\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"0\r\n\n",
            b"fffffffffffffffff\r\n",
        ] {
            assert_eq!(walk(body), Err(Malformed), "{body:?}");
        }
    }
}
