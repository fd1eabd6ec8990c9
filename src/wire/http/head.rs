//! Heads of requests and responses.

use std::mem::MaybeUninit;

use httparse::{Error, Header, Status};

use super::chunked::Chunked;
use crate::wire::Opaque;

/// Headers of one head at most. A head with more is not followed.
const MOST_HEADERS: usize = 128;

const NOT_HTTP: Opaque = Opaque::Because("the messages are not HTTP/1.1");
const AMBIGUOUS: Opaque = Opaque::Because("the framing of a message is ambiguous");

/// How far the body behind a head goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes are to come, not 0.
    Length(u64),
    Chunked(Chunked),
    /// Up to the end of the connection.
    Rest,
}

/// What following a request needs to know of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) framing: Framing,
    /// Its response has no body, whatever its head says.
    pub(super) is_head: bool,
    pub(super) is_connect: bool,
}

/// What following a response needs to know of it.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) framing: Framing,
}

/// The head of a request, for a fault that looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// As it was sent.
    pub method: String,
    /// The path of the request target as it was sent, without its query; the whole target if it has
    /// none.
    pub path: String,
    /// Whether the client keeps the connection behind the response.
    pub keeps_alive: bool,
    /// Whether this is HTTP/1.0.
    pub is_old: bool,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects: bool,
}

/// The first head in `bytes`: its length, and what it says; `None` if it is not whole.
pub(super) fn asked(bytes: &[u8]) -> Result<Option<(usize, Asked)>, Opaque> {
    if !bytes
        .first()
        .is_some_and(|first| first.is_ascii_graphic() || *first == b'\r')
    {
        return Err(match bytes.first() {
            Some(0x16) => Opaque::Because("the messages are encrypted with TLS"),
            _ => NOT_HTTP,
        });
    }
    if bytes.starts_with(b"PRI * HTTP/2") {
        return Err(Opaque::Because("the client speaks HTTP/2"));
    }
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    is_plain(&bytes[..length])?;
    let framing = Lengths::of(parsed.headers)?.framing(parsed.version, Framing::Empty)?;
    let method = parsed.method.unwrap_or_default();
    let asked = Asked {
        framing,
        is_head: method == "HEAD",
        is_connect: method == "CONNECT",
    };
    Ok(Some((length, asked)))
}

/// As [`asked`], of a response.
pub(super) fn answered(bytes: &[u8]) -> Result<Option<(usize, Answered)>, Opaque> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let length = match config.parse_response_with_uninit_headers(&mut parsed, bytes, &mut headers) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    is_plain(&bytes[..length])?;
    let status = parsed.code.unwrap_or_default();
    let framing = match status {
        // Interim responses, and those that never have a body.
        100..=199 | 204 | 304 => Framing::Empty,
        _ => Lengths::of(parsed.headers)?.framing(parsed.version, Framing::Rest)?,
    };
    Ok(Some((length, Answered { status, framing })))
}

/// The head of a request that was cut out.
pub fn request(head: &[u8]) -> Option<Request> {
    let mut headers = [const { MaybeUninit::uninit() }; MOST_HEADERS];
    let mut parsed = httparse::Request::new(&mut []);
    parsed.parse_with_uninit_headers(head, &mut headers).ok()?;
    let has = |name: &str, token: &str| {
        let headers = parsed.headers.iter();
        let mut values = headers.filter(|header| header.name.eq_ignore_ascii_case(name));
        values.any(|header| {
            let value = String::from_utf8_lossy(header.value);
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    };
    let is_old = parsed.version == Some(0);
    Some(Request {
        method: parsed.method?.to_owned(),
        path: path(parsed.path?).to_owned(),
        keeps_alive: if is_old {
            has("connection", "keep-alive")
        } else {
            !has("connection", "close")
        },
        is_old,
        expects: !is_old && has("expect", "100-continue"),
    })
}

/// The path of a request target in its origin or absolute form.
fn path(target: &str) -> &str {
    let behind_scheme = target.find("://").filter(|_| !target.starts_with('/'));
    let path = match behind_scheme {
        Some(at) => {
            let authority = &target[at + 3..];
            authority.find('/').map_or("/", |slash| &authority[slash..])
        }
        None => target,
    };
    path.split(['?', '#']).next().unwrap_or_default()
}

fn refused(error: Error) -> Opaque {
    match error {
        Error::TooManyHeaders => Opaque::Because("a message has more than 128 headers"),
        _ => NOT_HTTP,
    }
}

/// Every line has to end with CR and LF: some take a bare LF for an end, some do not.
#[expect(
    clippy::naive_bytecount,
    reason = "fast enough for heads, without a crate for it"
)]
fn is_plain(head: &[u8]) -> Result<(), Opaque> {
    let feeds = head.iter().filter(|byte| **byte == b'\n').count();
    let pairs = head.iter().zip(&head[1..]);
    let ends = pairs
        .filter(|(cr, lf)| **cr == b'\r' && **lf == b'\n')
        .count();
    if feeds == ends {
        Ok(())
    } else {
        Err(AMBIGUOUS)
    }
}

/// What the headers say of the length of a body.
#[derive(Default)]
struct Lengths {
    length: Option<u64>,
    chunked: bool,
}

impl Lengths {
    fn of(headers: &[Header<'_>]) -> Result<Self, Opaque> {
        let mut lengths = Self::default();
        for Header { name, value } in headers {
            match name.len() {
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let digits = std::str::from_utf8(value).ok();
                    let digits = digits.filter(|value| value.bytes().all(|c| c.is_ascii_digit()));
                    let length = digits.and_then(|digits| digits.parse().ok());
                    if lengths.length.replace(length.ok_or(AMBIGUOUS)?).is_some() {
                        return Err(AMBIGUOUS);
                    }
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    let again = std::mem::replace(&mut lengths.chunked, true);
                    if again || !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(AMBIGUOUS);
                    }
                }
                _ => {}
            }
        }
        Ok(lengths)
    }

    /// The framing, which is `absent` if no header says anything.
    fn framing(self, version: Option<u8>, absent: Framing) -> Result<Framing, Opaque> {
        match self {
            Self {
                length: Some(_),
                chunked: true,
            } => Err(AMBIGUOUS),
            Self { chunked: true, .. } if version == Some(0) => Err(AMBIGUOUS),
            Self { chunked: true, .. } => Ok(Framing::Chunked(Chunked::default())),
            Self {
                length: Some(0), ..
            } => Ok(Framing::Empty),
            Self {
                length: Some(length),
                ..
            } => Ok(Framing::Length(length)),
            Self { length: None, .. } => Ok(absent),
        }
    }
}
