//! A declared reconnection policy: which delays it allows, and how many attempts it makes.

use std::fmt;
use std::str::FromStr;

use rand::RngExt;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::check::stats;
use crate::units::Share;

/// How the delay grows.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Each delay is the last one times the factor, up to the maximum.
    #[default]
    Exponential,
    /// Every delay is the base.
    Constant,
}

/// How a delay is spread.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Jitter {
    /// Not at all.
    #[default]
    None,
    /// By up to this share to either side.
    Around(Share),
    /// From half the delay to all of it.
    Equal,
    /// From nothing to the delay.
    Full,
    /// From the base to three times the last delay.
    Decorrelated,
}

/// A reconnection policy; times in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// How the delay grows.
    pub shape: Shape,
    /// The first delay.
    pub base: f64,
    /// By what it grows.
    pub factor: f64,
    /// The longest delay before jitter.
    pub max: f64,
    /// How it is spread.
    pub jitter: Jitter,
    /// Attempts after which it gives up; `None` if it never does.
    pub tries: Option<usize>,
}

/// How many attempts a policy makes at most, but for one run in a thousand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    /// In the whole outage.
    pub total: f64,
    /// In any one second.
    pub per_second: f64,
}

/// Runs of the simulation.
const RUNS: usize = 10_000;
/// Where a simulated client that never waits is stopped.
const MOST_ATTEMPTS: usize = 10_000;

impl Policy {
    /// What is taken for polite if nothing is declared.
    pub const DEFAULT: Self = Self {
        shape: Shape::Exponential,
        base: 0.1,
        factor: 2.0,
        max: 30.0,
        jitter: Jitter::Full,
        tries: None,
    };

    /// The delay before jitter, counted from 0.
    pub fn delay(&self, index: usize) -> f64 {
        match self.shape {
            Shape::Constant => self.base.min(self.max),
            Shape::Exponential => {
                let power = i32::try_from(index).unwrap_or(i32::MAX);
                (self.base * self.factor.powi(power)).min(self.max)
            }
        }
    }

    /// The shortest and the longest delay that it allows; `last` is the delay before.
    pub fn range(&self, index: usize, last: Option<f64>) -> (f64, f64) {
        let delay = self.delay(index);
        match self.jitter {
            Jitter::None => (delay, delay),
            Jitter::Around(share) => {
                let spread = delay * share.fraction();
                (delay - spread, delay + spread)
            }
            Jitter::Equal => (delay / 2.0, delay),
            Jitter::Full => (0.0, delay),
            Jitter::Decorrelated => {
                let longest = (3.0 * last.unwrap_or(self.base)).min(self.max);
                (self.base, longest.max(self.base))
            }
        }
    }

    /// The longest delay that it ever allows, with jitter.
    pub fn longest(&self) -> f64 {
        match self.jitter {
            Jitter::Around(share) => self.max * (1.0 + share.fraction()),
            _ => self.max,
        }
    }

    /// The longest wait that may be under way when an outage of `length` ends, if each attempt
    /// takes at least `took` to fail.
    pub fn under_way(&self, length: f64, took: f64) -> f64 {
        let (mut now, mut last) = (took, None);
        for index in 0..MOST_ATTEMPTS {
            let (low, high) = self.range(index, last);
            now += low + took;
            last = Some(high);
            if now > length || high >= self.longest() {
                return high;
            }
        }
        self.longest()
    }

    /// Simulates the policy in `lanes` loops over an outage of `length`, each attempt taking one of
    /// `durations`. Generous by one attempt per loop: the first is made at once.
    pub fn budget(
        &self,
        lanes: u32,
        length: f64,
        durations: &[f64],
        rng: &mut ChaCha12Rng,
    ) -> Budget {
        let mut totals = Vec::with_capacity(RUNS);
        let mut peaks = Vec::with_capacity(RUNS);
        let mut starts = Vec::new();
        for _ in 0..RUNS {
            starts.clear();
            for _ in 0..lanes {
                self.simulate((0.0, 0), length, durations, rng, &mut starts);
            }
            starts.sort_unstable_by(f64::total_cmp);
            totals.push(starts.len() as f64);
            peaks.push(peak(&starts) as f64);
        }
        let tail = |mut values: Vec<f64>| {
            values.sort_unstable_by(f64::total_cmp);
            stats::quantile(&values, 0.999).unwrap_or_default()
        };
        Budget {
            total: tail(totals),
            per_second: tail(peaks),
        }
    }

    /// Adds the attempts that one loop begins by `length`: the first at `begin`, or after a delay if
    /// `first`, the index of the delay behind the first attempt, is not 0.
    pub(super) fn simulate(
        &self,
        (begin, first): (f64, usize),
        length: f64,
        durations: &[f64],
        rng: &mut ChaCha12Rng,
        starts: &mut Vec<f64>,
    ) {
        let (mut now, mut last) = (begin, None);
        for index in 0..first {
            let (low, high) = self.range(index, last);
            let delay = low + (high - low) * rng.random::<f64>();
            last = Some(delay);
            now += delay;
        }
        for index in first..first + self.tries.unwrap_or(MOST_ATTEMPTS) {
            if now > length {
                return;
            }
            starts.push(now);
            let (low, high) = self.range(index, last);
            let delay = low + (high - low) * rng.random::<f64>();
            last = Some(delay);
            let took = match durations {
                [] => 0.0,
                some => some[rng.random_range(0..some.len())],
            };
            now += took + delay;
        }
    }
}

/// The most of the sorted `starts` that lie within one second.
pub fn peak(starts: &[f64]) -> usize {
    let mut from = 0;
    let mut most = 0;
    for (index, start) in starts.iter().enumerate() {
        while start - starts[from] >= 1.0 {
            from += 1;
        }
        most = most.max(index - from + 1);
    }
    most
}

impl FromStr for Jitter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => Ok(Self::None),
            "equal" => Ok(Self::Equal),
            "full" => Ok(Self::Full),
            "decorrelated" => Ok(Self::Decorrelated),
            share => share.parse().map(Self::Around).map_err(|_| {
                format!(
                    "expected `none`, `equal`, `full`, `decorrelated` or a share such as `20%`, \
                     found `{share}`"
                )
            }),
        }
    }
}

impl fmt::Display for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Around(share) => share.fmt(f),
            Self::Equal => f.write_str("equal"),
            Self::Full => f.write_str("full"),
            Self::Decorrelated => f.write_str("decorrelated"),
        }
    }
}

impl TryFrom<String> for Jitter {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Jitter> for String {
    fn from(jitter: Jitter) -> Self {
        jitter.to_string()
    }
}

impl schemars::JsonSchema for Jitter {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Jitter".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "`none`, `equal`, `full`, `decorrelated`, or a share to either side.",
            "examples": ["20%"],
        })
    }
}
