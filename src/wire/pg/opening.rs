//! The client's packets before its session: a length, a code, and no type byte.

use crate::event::Startup;

/// First byte of a TLS handshake record; as the first byte of a length it would be far too long.
pub(super) const TLS_HANDSHAKE: u8 = 0x16;

const CANCEL_REQUEST: u32 = 80_877_102;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const MAJOR_VERSION: u32 = 3;

/// Length and code.
const SHORTEST: usize = 8;
/// The server's limit of 10,000 bytes, behind the length.
const LONGEST: usize = 10_004;

/// Collects one packet from chunks of any size; bounded by the server's own limit.
#[derive(Debug, Default)]
pub(super) struct Opening {
    packet: Vec<u8>,
}

impl Opening {
    /// Takes from `bytes` what belongs to the packet and tells what it is once it is complete.
    pub(super) fn collect(&mut self, bytes: &mut &[u8]) -> Option<Startup> {
        if self.packet.is_empty() && bytes.first() == Some(&TLS_HANDSHAKE) {
            return Some(Startup::Tls);
        }
        let length = u32::from_be_bytes(*self.fill(bytes, 4)?.first_chunk()?) as usize;
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Some(Startup::Unknown);
        }
        let packet = self.fill(bytes, length)?;
        Some(read(&packet[4..]))
    }

    /// The packet so far, once it has `length` bytes.
    fn fill(&mut self, bytes: &mut &[u8], length: usize) -> Option<&[u8]> {
        let missing = length.saturating_sub(self.packet.len());
        let (taken, rest) = bytes.split_at(missing.min(bytes.len()));
        self.packet.extend_from_slice(taken);
        *bytes = rest;
        (self.packet.len() >= length).then_some(&*self.packet)
    }
}

/// What a packet is, from its code on.
fn read(packet: &[u8]) -> Startup {
    let Some((code, parameters)) = packet.split_first_chunk() else {
        return Startup::Unknown;
    };
    match u32::from_be_bytes(*code) {
        SSL_REQUEST => Startup::Ssl,
        GSSENC_REQUEST => Startup::Gss,
        CANCEL_REQUEST => Startup::Cancel,
        version if version >> 16 == MAJOR_VERSION => session(parameters),
        _ => Startup::Unknown,
    }
}

/// Reads names and values, each ended by a zero byte, up to an empty name.
fn session(parameters: &[u8]) -> Startup {
    let (mut user, mut database, mut application_name) = Default::default();
    let mut texts = parameters.split(|byte| *byte == 0);
    while let (Some(name @ [_, ..]), Some(value)) = (texts.next(), texts.next()) {
        let field = match name {
            b"user" => &mut user,
            b"database" => &mut database,
            b"application_name" => &mut application_name,
            _ => continue,
        };
        *field = String::from_utf8_lossy(value).into_owned();
    }
    Startup::Session {
        user,
        database,
        application_name,
    }
}
