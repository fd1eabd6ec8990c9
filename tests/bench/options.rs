//! What of the bench is wanted.

use std::env;
use std::time::Duration;

use anyhow::{Context, bail};

/// Parts that can be measured alone.
const PARTS: [&str; 7] = [
    "memory", "pgbench", "echo", "http", "bulk", "messages", "faults",
];

/// Read from the environment: `BENCH` (parts, all unless given), `ROUNDS` (12), `SECONDS` (1).
#[derive(Debug)]
pub(crate) struct Options {
    parts: Vec<String>,
    pub(crate) rounds: u32,
    /// Of one measurement; pgbench knows no fractions.
    pub(crate) seconds: u64,
}

impl Options {
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let wanted = env::var("BENCH").unwrap_or_default();
        let parts: Vec<String> = wanted.split_whitespace().map(str::to_owned).collect();
        if let Some(unknown) = parts.iter().find(|part| !PARTS.contains(&part.as_str())) {
            bail!(
                "BENCH names no part `{unknown}`; there are {}",
                PARTS.join(", ")
            );
        }
        Ok(Self {
            parts,
            rounds: number("ROUNDS", 12)?.try_into()?,
            seconds: number("SECONDS", 1)?,
        })
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|wanted| wanted == part)
    }

    /// Only a complete bench is worth a page in the documentation.
    pub(crate) fn is_complete(&self) -> bool {
        self.parts.is_empty()
    }

    /// Of one measurement by a load of our own, which needs no more than half.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(self.seconds) / 2
    }
}

/// A whole number above 0.
fn number(variable: &str, default: u64) -> anyhow::Result<u64> {
    match env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => text
            .parse()
            .ok()
            .filter(|value| *value > 0)
            .with_context(|| format!("{variable} is `{text}`; give a whole number above 0")),
    }
}
