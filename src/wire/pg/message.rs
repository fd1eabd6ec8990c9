//! Reading and writing single messages.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

/// Query: a string of statements.
pub const QUERY: u8 = b'Q';
/// Execute: runs a portal.
pub const EXECUTE: u8 = b'E';
/// `ErrorResponse`.
pub const ERROR: u8 = b'E';
/// `CommandComplete`.
pub const COMPLETE: u8 = b'C';
/// `ReadyForQuery`.
pub const READY: u8 = b'Z';

/// What follows the type and the length.
pub fn body(message: &[u8]) -> &[u8] {
    message.get(super::cursor::HEADER..).unwrap_or_default()
}

/// A text that ends with a zero byte, and what follows it.
pub fn split_text(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == 0);
    let end = end.unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

/// A text that ends with a zero byte, as UTF-8.
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(split_text(bytes).0)
}

/// Appends a message of a kind with a body of these parts.
pub fn put(into: &mut BytesMut, kind: u8, parts: &[&[u8]]) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    into.put_u8(kind);
    into.put_u32(u32::try_from(length + 4).expect("messages of ours are short"));
    for part in parts {
        into.put_slice(part);
    }
}

/// One message of a kind with a body of these parts.
pub fn message(kind: u8, parts: &[&[u8]]) -> Bytes {
    let mut bytes = BytesMut::new();
    put(&mut bytes, kind, parts);
    bytes.freeze()
}

/// The fields of an `ErrorResponse` or `NoticeResponse`: a code letter and a text each.
pub fn fields(body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (code, after) = rest.split_first().filter(|(code, _)| **code != 0)?;
        let (text, after) = split_text(after);
        rest = after;
        Some((*code, text))
    })
}
