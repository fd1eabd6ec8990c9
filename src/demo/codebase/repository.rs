//! A repository that is generated instead of read: file number n is always the same.

use sha2::{Digest, Sha256};

const WORDS: [&str; 32] = [
    "account", "batch", "cache", "channel", "client", "cursor", "decode", "encode", "event",
    "filter", "frame", "header", "index", "journal", "key", "lease", "merge", "notify", "offset",
    "parse", "queue", "record", "render", "retry", "route", "scan", "schema", "session", "shard",
    "token", "update", "verify",
];
const FUNCTIONS: u32 = 6;

/// A file with what is stored of it.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) path: String,
    pub(super) content: String,
    pub(super) checksum: String,
}

/// File number `number`.
pub(super) fn file(number: u32) -> SourceFile {
    let digest = Sha256::digest(number.to_le_bytes());
    let word = |place: u32| {
        let byte = digest[place as usize % digest.len()];
        WORDS[usize::from(byte) % WORDS.len()]
    };
    let head = format!("//! The {} of the {}, part {number}.", word(0), word(1));
    let functions = (0..FUNCTIONS).map(|function| {
        let first = 3 * function + 2;
        let (verb, noun, other) = (word(first), word(first + 1), word(first + 2));
        format!("fn {verb}_{noun}_{function}({noun}: &mut {other}) {{ {other}.{verb}({noun}) }}")
    });
    let lines: Vec<String> = std::iter::once(head).chain(functions).collect();
    let content = lines.join("\n");
    SourceFile {
        path: format!("src/{}/{}_{number:06}.rs", word(0), word(1)),
        checksum: hex(&Sha256::digest(&content)),
        content,
    }
}

fn hex(bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.concat()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn files_differ_and_stay_the_same() {
        let paths: BTreeSet<String> = (0..10_000).map(|number| file(number).path).collect();
        assert_eq!(paths.len(), 10_000);
        assert_eq!(file(7).checksum, file(7).checksum);
        assert_ne!(file(7).checksum, file(8).checksum);
        assert_eq!(file(7).checksum.len(), 64);
    }
}
