//! What a connection costs while it says nothing.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::load::talk;
use crate::result::Memory;
use crate::stage::{Stage, Target};

/// Connections that are held at once.
const LEVELS: [u64; 3] = [1_000, 5_000, 10_000];

/// Holds more and more connections through each target; the highest level is what descriptors
/// allow, in whole thousands.
pub(crate) fn measure(stage: &Stage) -> anyhow::Result<Vec<Memory>> {
    let most = stage.connections / 1_000 * 1_000;
    let mut found = Vec::new();
    for target in &stage.targets {
        eprintln!("memory: {}", target.name);
        let before = target.family.memory();
        let mut held = Vec::new();
        let mut bytes_each = Vec::new();
        for level in LEVELS {
            let level = level.min(most);
            held.extend(hold(stage, target, level - held.len() as u64)?);
            let grown = target.family.memory().saturating_sub(before);
            bytes_each.push((level, grown / level.max(1)));
        }
        found.push(Memory {
            target: target.name,
            bytes_each,
        });
    }
    Ok(found)
}

/// So many connections.
pub(crate) fn hold(stage: &Stage, target: &Target, count: u64) -> anyhow::Result<Vec<TcpStream>> {
    (0..count).map(|_| connect(stage, target)).collect()
}

/// A connection that reaches the server, because it answered.
fn connect(stage: &Stage, target: &Target) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(target.toward(stage.servers.echo))?;
    stream.write_all(talk::ECHO.question)?;
    let mut answer = [0; talk::ECHO.answer.len()];
    stream.read_exact(&mut answer)?;
    Ok(stream)
}
