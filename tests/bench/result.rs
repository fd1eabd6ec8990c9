//! What was measured: the format of `docs/performance.json`.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::machine;
use crate::options::Options;
use crate::stage::Stage;
use crate::stats::Spread;

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) date: String,
    pub(crate) machine: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: u64,
    pub(crate) missing: Vec<&'static str>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) lines: Vec<Line>,
    pub(crate) following: Vec<Following>,
    pub(crate) faults: Option<Faults>,
}

impl Report {
    pub(crate) fn new(options: &Options, stage: &Stage) -> Self {
        Self {
            command: "make bench",
            date: jiff::Zoned::now().strftime("%Y-%m-%d").to_string(),
            machine: machine::describe(),
            rounds: options.rounds,
            seconds: options.seconds,
            missing: stage.missing.clone(),
            memory: Vec::new(),
            lines: Vec::new(),
            following: Vec::new(),
            faults: None,
        }
    }
}

/// Resident memory per idle connection.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) target: &'static str,
    /// Connections held, and bytes for each.
    pub(crate) bytes_each: Vec<(u64, u64)>,
}

/// What it costs to follow messages: processor time per transaction, beside a proxy that passes
/// bytes.
#[derive(Debug, Serialize)]
pub(crate) struct Following {
    pub(crate) name: &'static str,
    /// Microseconds per transaction where bytes pass.
    pub(crate) bytes_us: Option<Spread>,
    /// The same once more, in ratio to it: the noise.
    pub(crate) again: Option<Spread>,
    pub(crate) followed: Option<Spread>,
    /// With a fault in force that matches nothing.
    pub(crate) armed: Option<Spread>,
}

/// One task, over all rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    pub(crate) name: &'static str,
    pub(crate) unit: Unit,
    pub(crate) rounds: u32,
    /// Units per second of the direct connection.
    pub(crate) direct: Option<Spread>,
    pub(crate) direct_p99_us: Option<f64>,
    pub(crate) places: Vec<Place>,
}

/// What one target came to.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    pub(crate) target: &'static str,
    /// Of the direct connection's rate in the same round.
    pub(crate) ratio: Option<Spread>,
    /// Processor time for [`Unit::size`] units.
    pub(crate) cpu_s: Option<Spread>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) rounds_behind_chaosproxy: usize,
}

/// Whether faults do what they promise.
#[derive(Debug, Serialize)]
pub(crate) struct Faults {
    pub(crate) delays: Vec<Delay>,
    /// Seconds that 20 MB take through 100 ms.
    pub(crate) bulk_s: Option<Spread>,
    /// Milliseconds that each of 20 messages takes through 100 ms.
    pub(crate) pipelined: Option<Spread>,
    pub(crate) rates: Vec<Rate>,
    pub(crate) cost: Option<Cost>,
    pub(crate) busy: Edges,
    pub(crate) crowded: Edges,
}

/// One delay, measured often.
#[derive(Debug, Serialize)]
pub(crate) struct Delay {
    pub(crate) ms: u64,
    pub(crate) count: usize,
    /// Of the round trip through the delay.
    pub(crate) error: Error,
    /// Of a bare sleep of the same length.
    pub(crate) nanosleep: Error,
    /// The round trip without a delay, after a rest of the same length.
    pub(crate) undelayed: Error,
}

/// How much longer than wanted something took, in milliseconds.
#[derive(Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the unit is read in JSON")]
pub(crate) struct Error {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Error {
    pub(crate) fn of(times: Vec<Duration>, wanted: Duration) -> Self {
        let late = |time: Duration| (time.as_secs_f64() - wanted.as_secs_f64()) * 1e3;
        let mut late: Vec<f64> = times.into_iter().map(late).collect();
        late.sort_by(f64::total_cmp);
        // Nearest rank, so that it is always something that was measured.
        let rank = |percent: usize| (late.len() * percent).div_ceil(100).max(1) - 1;
        let at = |percent: usize| late.get(rank(percent)).copied().unwrap_or(f64::NAN);
        Self {
            p50_ms: at(50),
            p99_ms: at(99),
            max_ms: at(100),
        }
    }
}

/// A bandwidth, measured.
#[derive(Debug, Serialize)]
pub(crate) struct Rate {
    pub(crate) wanted: &'static str,
    /// Of each window of 2 s.
    pub(crate) error_percent: Vec<f64>,
}

/// Processor time for 100,000 transactions, in seconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Cost {
    /// As fast as it goes.
    pub(crate) plain: Spread,
    /// With one latency fault in force, as fast as it goes then.
    pub(crate) delayed: Spread,
    /// Without it, but no faster than with it.
    pub(crate) paced: Spread,
    /// Transactions per second with it.
    pub(crate) rate: Spread,
}

/// How late the edges of a schedule were.
#[derive(Debug, Serialize)]
pub(crate) struct Edges {
    /// Connections that had to follow.
    pub(crate) connections: u64,
    pub(crate) count: usize,
    /// Until it was begun.
    pub(crate) injected: Error,
    /// Until every connection had followed.
    pub(crate) lifted: Error,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Transactions,
    Gigabytes,
}

impl Unit {
    /// How many units processor time is given for.
    pub(crate) const fn size(self) -> f64 {
        match self {
            Self::Transactions => 1e5,
            Self::Gigabytes => 1e9,
        }
    }

    /// The same in words.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Transactions => "100,000 transactions",
            Self::Gigabytes => "GB",
        }
    }
}

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}
