//! JSON lines on standard error, one per event, with a limit on how often a warning is repeated.
//!
//! Standard output stays empty: for servers of this kind it belongs to the protocol.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use crate::units::{Clock, Moment};

/// Warnings and errors with the same key, per second.
const REPEATS_PER_SECOND: u32 = 10;
/// Keys that are counted at a time; keys are constants, so this is never reached in practice.
const KEYS: usize = 1024;

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Info,
    Warn,
    Error,
}

/// How often a warning or an error may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    /// Ten times per second.
    Limited,
    /// As often as it happens.
    Unlimited,
}

/// Writes the log of one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Log {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    service: &'static str,
    repeats: Repeats,
    limiter: Mutex<Limiter>,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: String,
    level: Level,
    service: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    suppressed: u64,
    #[serde(flatten)]
    fields: Value,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Log {
    pub(super) fn new(service: &'static str, clock: Clock, repeats: Repeats) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                service,
                repeats,
                limiter: Mutex::default(),
            }),
        }
    }

    /// The server's clock.
    pub(super) fn clock(&self) -> Clock {
        self.inner.clock
    }

    /// Writes a line without limit. `fields` is a JSON object.
    pub(super) fn info(&self, message: &str, fields: Value) {
        self.write(Level::Info, message, fields, 0);
    }

    /// Writes a warning, unless the same message was written too often within the second.
    pub(super) fn warn(&self, message: &str, fields: Value) {
        self.limited(Level::Warn, message, message, fields);
    }

    /// Writes a warning whose text varies, unless one with the same `key` was written too often.
    pub(super) fn limited_warn(&self, key: &str, message: &str) {
        self.limited(
            Level::Warn,
            key,
            message,
            Value::Object(serde_json::Map::new()),
        );
    }

    /// Writes an error, unless the same message was written too often within the second.
    pub(super) fn error(&self, message: &str, fields: Value) {
        self.limited(Level::Error, message, message, fields);
    }

    /// Writes a line unless one with the same `key` was written too often within the second; the
    /// next one that is written counts those left out.
    pub(super) fn limited(&self, level: Level, key: &str, message: &str, fields: Value) {
        if self.inner.repeats == Repeats::Unlimited {
            return self.write(level, message, fields, 0);
        }
        let now = self.inner.clock.now();
        let admitted = self
            .inner
            .limiter
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(key, now);
        if let Some(suppressed) = admitted {
            self.write(level, message, fields, suppressed);
        }
    }

    fn write(&self, level: Level, message: &str, fields: Value, suppressed: u64) {
        let line = Line {
            timestamp: timestamp(&self.inner.clock),
            level,
            service: self.inner.service,
            message,
            suppressed,
            fields,
        };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            // A server without a log keeps serving.
            drop(std::io::stderr().lock().write_all(&text));
        }
    }
}

/// The present wall-clock time, in milliseconds, as RFC 3339.
pub(super) fn timestamp(clock: &Clock) -> String {
    let elapsed = clock.now().since(Moment::ZERO);
    format!("{:.3}", clock.started_at() + elapsed)
}

/// Decides which repetitions are written.
#[derive(Debug, Default)]
struct Limiter {
    windows: HashMap<String, Window>,
}

#[derive(Debug)]
struct Window {
    since: Moment,
    written: u32,
    suppressed: u64,
}

impl Limiter {
    /// Whether a line may be written now, and how many were suppressed since the last one.
    fn admit(&mut self, key: &str, now: Moment) -> Option<u64> {
        if self.windows.len() >= KEYS && !self.windows.contains_key(key) {
            self.windows.clear();
        }
        let window = self.windows.entry(key.to_owned()).or_insert(Window {
            since: now,
            written: 0,
            suppressed: 0,
        });
        if now.since(window.since) >= Duration::from_secs(1) {
            window.since = now;
            window.written = 0;
        }
        if window.written >= REPEATS_PER_SECOND {
            window.suppressed += 1;
            return None;
        }
        window.written += 1;
        Some(std::mem::take(&mut window.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_storm_is_thinned_out_and_the_rest_is_counted() {
        let mut limiter = Limiter::default();
        let written = (0..1000)
            .filter(|ms| limiter.admit("dial failed", at(*ms)).is_some())
            .count();
        assert_eq!(written, 10);
        assert_eq!(limiter.admit("dial failed", at(1000)), Some(990));
        assert_eq!(limiter.admit("dial failed", at(1001)), Some(0));
    }

    #[test]
    fn one_storm_does_not_hide_another_message() {
        let mut limiter = Limiter::default();
        for _ in 0..100 {
            limiter.admit("dial failed", at(0));
        }
        assert_eq!(limiter.admit("pool is full", at(0)), Some(0));
    }
}
