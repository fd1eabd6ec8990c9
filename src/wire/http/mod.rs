//! HTTP/1.1 as it passes: heads are parsed, bodies followed by their framing, and no byte changes.
//!
//! What two parsers may read differently is not followed: the conversation becomes opaque, and its
//! bytes pass as they came.

mod chunked;
mod head;
mod talk;

pub use head::{Request, request};
pub(super) use talk::{Exchange, Talk};

/// The head of a request.
pub const REQUEST: u8 = b'Q';
/// The head of a response; several if some are interim ones.
pub const RESPONSE: u8 = b'R';
/// A piece of the body of a request or response, as it was read.
pub const BODY: u8 = b'B';

/// The reason phrase of a status, as far as it is a usual one.
pub const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        507 => "Insufficient Storage",
        _ => "Injected",
    }
}
