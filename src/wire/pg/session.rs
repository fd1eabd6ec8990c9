//! One connection from its first byte on.

use super::frames::Frames;
use super::opening::{Opening, TLS_HANDSHAKE};
use crate::event::Startup;

/// Something worth recording that a connection showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// The client asked for something before its session.
    Startup(Startup),
    /// The server's first `ReadyForQuery`: a session exists.
    Ready,
}

/// Watches both ways of one connection. Feed it what was read, in the order in which it was read,
/// before it is passed on; how it was cut into chunks does not matter.
///
/// Message boundaries are followed as long as the connection lives, so that whoever has to know
/// them later can; only headers are looked at.
#[derive(Debug, Default)]
pub struct Session {
    phase: Phase,
    ssl_asked: bool,
    gss_asked: bool,
    ready: bool,
    from_client: Frames,
    from_server: Frames,
}

#[derive(Debug)]
enum Phase {
    /// The client's next packet is awaited.
    Opening(Opening),
    /// The client asked for encryption; one raw byte of the server answers.
    Asked(Encryption),
    /// The server agreed to TLS; the client's next bytes begin the handshake.
    Agreed,
    /// Messages, both ways.
    Messages,
    /// Encrypted, not PostgreSQL, or over: nothing more can be seen.
    Opaque,
}

#[derive(Debug, Clone, Copy)]
enum Encryption {
    Tls,
    Gss,
}

impl Default for Phase {
    fn default() -> Self {
        Self::Opening(Opening::default())
    }
}

impl Session {
    /// A connection without a byte yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether nothing more can be seen: encrypted, unknown, or a cancel request.
    pub const fn is_opaque(&self) -> bool {
        matches!(self.phase, Phase::Opaque)
    }

    /// The client sent these bytes.
    pub fn client(&mut self, mut bytes: &[u8]) -> Vec<Observation> {
        let mut seen = Vec::new();
        while let Some(first) = bytes.first() {
            match &mut self.phase {
                Phase::Opening(opening) => {
                    if let Some(packet) = opening.collect(&mut bytes) {
                        seen.push(Observation::Startup(self.opened(packet)));
                    }
                }
                Phase::Asked(_) => {
                    // A client has to await the answer; a server refuses what came before it.
                    self.phase = Phase::Opaque;
                    seen.push(Observation::Startup(Startup::Unknown));
                }
                Phase::Agreed => {
                    let packet = match *first {
                        TLS_HANDSHAKE => Startup::Tls,
                        _ => Startup::Unknown,
                    };
                    self.phase = Phase::Opaque;
                    seen.push(Observation::Startup(packet));
                }
                Phase::Messages => {
                    if self.from_client.follow(bytes, |_| ()).is_err() {
                        self.phase = Phase::Opaque;
                    }
                    break;
                }
                Phase::Opaque => break,
            }
        }
        seen
    }

    /// The server sent these bytes.
    pub fn server(&mut self, bytes: &[u8]) -> Vec<Observation> {
        let messages = match (&self.phase, bytes) {
            (Phase::Asked(encryption), [answer, rest @ ..]) => {
                self.phase = answered(*encryption, *answer);
                rest
            }
            _ => bytes,
        };
        let mut seen = Vec::new();
        match self.phase {
            // Before its startup packet a client may already be told why it is turned away.
            Phase::Opening(_) | Phase::Messages => {
                let ready = &mut self.ready;
                let followed = self.from_server.follow(messages, |kind| {
                    if kind == b'Z' && !*ready {
                        *ready = true;
                        seen.push(Observation::Ready);
                    }
                });
                if followed.is_err() {
                    self.phase = Phase::Opaque;
                }
            }
            Phase::Asked(_) | Phase::Agreed | Phase::Opaque => {}
        }
        seen
    }

    /// Goes where a packet leads, and tells what it was: each encryption may be asked for once.
    fn opened(&mut self, packet: Startup) -> Startup {
        let (phase, packet) = match packet {
            Startup::Ssl if !self.ssl_asked => {
                self.ssl_asked = true;
                (Phase::Asked(Encryption::Tls), packet)
            }
            Startup::Gss if !self.gss_asked => {
                self.gss_asked = true;
                (Phase::Asked(Encryption::Gss), packet)
            }
            Startup::Ssl | Startup::Gss => (Phase::Opaque, Startup::Unknown),
            Startup::Session { .. } => (Phase::Messages, packet),
            Startup::Cancel | Startup::Tls | Startup::Unknown => (Phase::Opaque, packet),
        };
        self.phase = phase;
        packet
    }
}

/// Where the server's one byte leads. An old server answers with an error and ends.
fn answered(encryption: Encryption, answer: u8) -> Phase {
    match (encryption, answer) {
        (_, b'N') => Phase::default(),
        (Encryption::Tls, b'S') => Phase::Agreed,
        (Encryption::Tls | Encryption::Gss, _) => Phase::Opaque,
    }
}
