//! Whether reconnection attempts back off.

mod attempts;
mod case;
mod crowd;
mod herd;
pub mod policy;
mod trace;
mod words;
mod worst;

pub use trace::{Gap, Trace};
pub use worst::longest_wait;

use serde::{Deserialize, Serialize};

use crate::check::{About, Check, CheckSpec, Finding, History, Lint, Outlook, advice, lint, show};
use crate::event::Name;
use crate::units::{Period, Rate, Share};
use case::Case;
use policy::{Jitter, Policy, Shape};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Backoff;

/// Parameters of a backoff check. Without `base` no policy is declared, and only the budget of
/// attempts is judged.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The proxy at which attempts are seen.
    pub proxy: Name,
    /// The fault during which they are counted; best a `partition` with `mode = "reject"`.
    pub fault: Name,
    /// How the delay grows. Default exponential.
    #[serde(default)]
    pub shape: Shape,
    /// The first delay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Period>,
    /// By what the delay grows from attempt to attempt. Default 2.
    #[serde(default = "factor")]
    pub factor: f64,
    /// The longest delay before jitter. Default 30s.
    #[serde(default = "max")]
    pub max: Period,
    /// How the delay is spread: `none`, `20%` (to either side), `equal`, `full` or `decorrelated`.
    /// Default none if `base` is given.
    #[serde(default)]
    pub jitter: Jitter,
    /// Independent retry loops behind the proxy. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes: Option<u32>,
    /// How far apart three loops or more must dial, as a share of the delay that is due: four
    /// fifths of them within less, in three rounds after the first, are a herd. Default 5%; 0%
    /// allows it.
    #[serde(default = "spread")]
    pub spread: Share,
    /// Attempts after which a loop gives up for the rest of an outage. Default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tries: Option<u32>,
    /// How soon after the loss the first attempt must come. Default no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Period>,
    /// Attempts that must be seen while the fault is in force. Default 1.
    #[serde(default = "min_attempts")]
    pub min_attempts: u64,
    /// Attempts that any second may hold, all loops together. Default no limit of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<Rate>,
    /// How late an attempt may come after its delay, or 5 % of the delay if that is more. Default
    /// 50ms.
    #[serde(default = "late")]
    pub late: Period,
    /// How early an attempt may come. Default 5ms.
    #[serde(default = "early")]
    pub early: Period,
}

const fn factor() -> f64 {
    2.0
}

const fn max() -> Period {
    Period::from_secs(30)
}

fn spread() -> Share {
    Share::from_fraction(0.05).unwrap_or(Share::NONE)
}

const fn min_attempts() -> u64 {
    1
}

const fn late() -> Period {
    Period::from_millis(50)
}

const fn early() -> Period {
    Period::from_millis(5)
}

impl Params {
    /// How many retry loops there are.
    fn loops(&self) -> u32 {
        self.lanes.unwrap_or(1)
    }

    /// The declared policy; `None` without `base`.
    pub fn policy(&self) -> Option<Policy> {
        Some(Policy {
            shape: self.shape,
            base: self.base?.as_secs_f64(),
            factor: self.factor,
            max: self.max.as_secs_f64(),
            jitter: self.jitter,
            tries: self.max_tries.map(|tries| tries as usize),
        })
    }
}

impl Check for Backoff {
    const TYPE: &'static str = "backoff";
    const SUMMARY: &'static str = "reconnection attempts back off as declared, and never storm";
    type Params = Params;

    fn about(params: &Params) -> About {
        About::Faults(vec![params.fault.clone()])
    }

    fn met_by_silence(_params: &Params) -> bool {
        true
    }

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found: Vec<Lint> = lint::fault("fault", &params.fault, outlook)
            .into_iter()
            .collect();
        if params.factor < 1.0 || !params.factor.is_finite() {
            let help = "write 2.0 for a delay that doubles";
            found.push(Lint::error(
                "factor",
                "a delay cannot shrink",
                "below 1",
                help,
            ));
        }
        if params.max_tries.is_some() && params.base.is_none() {
            found.push(Lint::error(
                "max_tries",
                "no policy is declared",
                "has no effect",
                "add `base`, the first delay",
            ));
        }
        if let (Some(policy), Some(length)) =
            (params.policy(), lint::shortest(&params.fault, outlook))
        {
            let fit = feasible(&policy, length.as_secs_f64(), 0.0);
            if fit < params.min_attempts {
                found.push(Lint::warning(
                    "min_attempts",
                    format!("only {fit} fit into {}", show::time(length)),
                    "cannot be reached",
                    "let the fault last longer, or ask for fewer attempts",
                ));
            }
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        if advice::is_uncounted(history, &params.fault) {
            let summary = "attempts could not be counted while the port was shut";
            return Finding::inconclusive(spec, summary, advice::COUNT);
        }
        let occurrences = history.fault(&params.fault);
        let parts = occurrences
            .iter()
            .map(|one| Case::new(params, spec, history, one).judge())
            .collect();
        Finding::worst_of(parts).expect("the fault was in force at least once")
    }
}

/// The attempts that even the slowest loop of a policy makes in `length`, each taking `took`.
fn feasible(policy: &Policy, length: f64, took: f64) -> u64 {
    let (mut now, mut count, mut last) = (0.0, 0, None);
    while count < policy.tries.unwrap_or(1_000) {
        let (_, high) = policy.range(count, last);
        last = Some(high);
        now += high;
        if now > length {
            break;
        }
        count += 1;
        now += took;
    }
    count as u64
}

#[cfg(test)]
mod tests;
