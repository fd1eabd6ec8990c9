//! Whether reconnection attempts back off.

mod attempts;
pub mod policy;
mod trace;
mod worst;

pub use trace::{Gap, Trace, traces};
pub use worst::longest_wait;

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::check::{
    Check, CheckSpec, Evidence, Finding, History, Lint, Occurrence, Outlook, Verdict, exercise,
    lint, show, stats,
};
use crate::event::Name;
use crate::units::{Moment, Period, Rate};
use attempts::Attempt;
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
    #[serde(default = "lanes")]
    pub lanes: u32,
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

const fn lanes() -> u32 {
    1
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
    /// The declared policy; `None` without `base`.
    pub fn policy(&self) -> Option<Policy> {
        Some(Policy {
            shape: self.shape,
            base: self.base?.as_secs_f64(),
            factor: self.factor,
            max: self.max.as_secs_f64(),
            jitter: self.jitter,
        })
    }
}

/// Gaps that the trend is told from: a growing delay shows within these, and the exact probability
/// of more is costly.
const TREND: usize = 20;
/// Any number: the same journal must always give the same verdict.
const SEED: u64 = 0x6261_636b;

impl Check for Backoff {
    const TYPE: &'static str = "backoff";
    const SUMMARY: &'static str = "reconnection attempts back off as declared, and never storm";
    type Params = Params;

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found: Vec<Lint> = lint::fault("fault", &params.fault, outlook)
            .into_iter()
            .collect();
        let fault = outlook.faults.get(&params.fault);
        if fault.is_some_and(|fault| refuses(&fault.kind, &fault.params)) {
            found.push(Lint::warning(
                "fault",
                format!("attempts cannot be seen under `{}`", params.fault),
                "the port is closed",
                "write `mode = \"reject\"` in the fault: it sees each attempt before it resets it",
            ));
        }
        if params.factor < 1.0 || !params.factor.is_finite() {
            let help = "write 2.0 for a delay that doubles";
            found.push(Lint::error(
                "factor",
                "a delay cannot shrink",
                "below 1",
                help,
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
        let faults = &history.experiment().faults;
        let fault = faults.iter().find(|fault| fault.name == params.fault);
        if fault.is_some_and(|fault| refuses(&fault.kind, &fault.params)) {
            return Finding::inconclusive(
                spec,
                "attempts cannot be seen while the port is closed",
                "write `mode = \"reject\"` in the fault: it sees each attempt before it resets it",
            );
        }
        if let Some(why) = exercise::missing(history, &params.fault) {
            return Finding::inconclusive(spec, why, exercise::NO_VICTIMS);
        }
        let occurrences = history.fault(&params.fault);
        let parts = occurrences
            .iter()
            .map(|one| Case::new(params, spec, history, one).judge())
            .collect();
        Finding::worst_of(parts).map_or_else(
            || Finding::inconclusive(spec, "nothing to judge", exercise::NO_VICTIMS),
            |mut finding| {
                finding.note(exercise::victims(history, &params.fault));
                finding
            },
        )
    }
}

/// Whether a fault closes the port, so that the kernel answers or nobody does, and attempts go unseen.
fn refuses(kind: &str, params: &serde_json::Value) -> bool {
    let mode = params.get("mode").and_then(serde_json::Value::as_str);
    kind == "partition" && matches!(mode, Some("refuse" | "unanswered"))
}

/// The attempts that even the slowest loop of a policy makes in `length`, each taking `took`.
fn feasible(policy: &Policy, length: f64, took: f64) -> u64 {
    let (mut now, mut count, mut last) = (0.0, 0, None);
    while count < 1_000 {
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

/// One outage.
struct Case<'a> {
    params: &'a Params,
    spec: &'a CheckSpec,
    history: &'a History,
    window: (Moment, Moment),
    attempts: Vec<Attempt>,
}

impl<'a> Case<'a> {
    fn new(
        params: &'a Params,
        spec: &'a CheckSpec,
        history: &'a History,
        occurrence: &Occurrence,
    ) -> Self {
        let window = (occurrence.inject, history.lifted(occurrence));
        let fold = attempts::fold_within(params.base.map(Period::get));
        let attempts = attempts::seen(history.connections(&params.proxy), window, fold);
        Self {
            params,
            spec,
            history,
            window,
            attempts,
        }
    }

    fn judge(&self) -> Finding {
        let mut finding = Finding::new(self.spec, Verdict::Pass, "");
        let lanes = self.lanes();
        finding.evidence.push(self.enough());
        finding.evidence.extend(self.rate());
        finding.evidence.push(self.budget());
        if let Some(policy) = self.params.policy() {
            for lane in &lanes {
                finding.evidence.push(self.support(&policy, lane));
                finding.evidence.extend(self.gave_up(&policy, lane));
            }
            if lanes.is_empty() && !self.attempts.is_empty() {
                finding.note(format!(
                    "{} declared loops cannot be told apart; only the number of attempts is judged",
                    self.params.lanes
                ));
            }
        }
        finding.decide();
        self.describe(&mut finding, &lanes);
        finding
    }

    /// The loops whose gaps can be judged: all attempts as one, or one per identity if there are as
    /// many as were declared.
    fn lanes(&self) -> Vec<Vec<&Attempt>> {
        if self.params.lanes == 1 {
            return vec![self.attempts.iter().collect()];
        }
        let lanes = attempts::by_identity(&self.attempts);
        match u32::try_from(lanes.len()) {
            Ok(count) if count == self.params.lanes => lanes.into_values().collect(),
            _ => Vec::new(),
        }
    }

    fn outage(&self) -> Duration {
        self.window.1.since(self.window.0)
    }

    fn evidence(
        &self,
        verdict: Verdict,
        key: &str,
        expected: String,
        measured: String,
    ) -> Evidence {
        Evidence::new(verdict, self.spec, key, expected, measured)
            .over(self.window, self.attempts.len() as u64)
    }

    /// How long each attempt took to fail, in seconds.
    fn durations(&self) -> Vec<f64> {
        let took = |attempt: &Attempt| Some(attempt.failed?.seconds_from(attempt.start));
        self.attempts.iter().filter_map(took).collect()
    }

    fn enough(&self) -> Evidence {
        let (count, needed) = (self.attempts.len() as u64, self.params.min_attempts);
        let slowest = self.durations().into_iter().fold(0.0, f64::max);
        // Before its first attempt the client must notice the loss.
        let first = self
            .attempts
            .first()
            .map_or(self.window.0, |first| first.start);
        let left = self.window.1.since(first).as_secs_f64();
        let fits = self
            .params
            .policy()
            .is_none_or(|policy| feasible(&policy, left, slowest) + 1 >= needed);
        let verdict = if count >= needed {
            Verdict::Pass
        } else if self.demanded() && fits {
            Verdict::Fail
        } else {
            Verdict::Inconclusive
        };
        let during = show::time(self.outage());
        let mut measured = format!("{} in {during}", show::plural(count, "attempt"));
        if verdict == Verdict::Inconclusive {
            measured.push_str(if fits {
                ", and nothing was asked of the service"
            } else {
                ", and no more could fit"
            });
        }
        self.evidence(
            verdict,
            "min_attempts",
            format!("at least {needed} attempts"),
            measured,
        )
    }

    /// Whether anybody asked anything while the database was gone: a lazy pool dials on demand.
    fn demanded(&self) -> bool {
        let (from, to) = self.window;
        let mut sources = self.history.experiment().sources.keys();
        sources.any(|source| {
            let mut samples = self.history.samples(source).iter();
            samples.any(|sample| sample.done >= from && sample.intended <= to)
        })
    }

    fn starts(&self) -> Vec<f64> {
        let seconds = |attempt: &Attempt| attempt.start.seconds_from(self.window.0);
        self.attempts.iter().map(seconds).collect()
    }

    fn rate(&self) -> Option<Evidence> {
        let limit = self.params.max_rate?;
        let peak = policy::peak(&self.starts());
        let verdict = if peak as f64 > limit.get() {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let measured = format!("{} in one second", show::plural(peak as u64, "attempt"));
        Some(self.evidence(verdict, "max_rate", format!("at most {limit}"), measured))
    }

    fn budget(&self) -> Evidence {
        let policy = self.params.policy().unwrap_or(Policy::DEFAULT);
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        let budget = policy.budget(
            self.params.lanes,
            self.outage().as_secs_f64(),
            &self.durations(),
            &mut rng,
        );
        let starts = self.starts();
        let (total, peak) = (starts.len() as f64, policy::peak(&starts) as f64);
        let verdict = if total > budget.total || peak > budget.per_second {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        let key = if self.params.base.is_some() {
            "base"
        } else {
            "fault"
        };
        self.evidence(
            verdict,
            key,
            format!(
                "at most {} attempts, {} in one second",
                budget.total, budget.per_second
            ),
            format!("{total} attempts, {peak} in one second"),
        )
    }

    /// Whether each gap is one that the policy allows. A policy may wait before its first attempt
    /// or after it, so the first gap is the first or the second delay.
    fn support(&self, policy: &Policy, lane: &[&Attempt]) -> Evidence {
        let gaps = attempts::gaps(lane);
        let expected = format!(
            "delays from {} to {}, jitter {}",
            show::seconds(policy.base),
            show::seconds(policy.max),
            policy.jitter
        );
        if gaps.len() < 2 {
            let measured = format!("{} to judge", show::plural(gaps.len() as u64, "gap"));
            return self.evidence(Verdict::Inconclusive, "base", expected, measured);
        }
        let readings = [0, 1].map(|from| self.strange(policy, &gaps, from));
        let best = readings.iter().min_by_key(|strange| strange.len());
        match best.and_then(|strange| strange.first()) {
            None => {
                let measured = format!("gaps {}", listed(&gaps));
                self.evidence(Verdict::Pass, "base", expected, measured)
            }
            Some((index, (low, high))) => {
                let measured = format!(
                    "gap {} is {}, not {} to {} (gaps {})",
                    index + 1,
                    show::seconds(gaps[*index]),
                    show::seconds(*low),
                    show::seconds(*high),
                    listed(&gaps)
                );
                self.evidence(Verdict::Fail, "base", expected, measured)
            }
        }
    }

    /// The gaps that the policy does not allow, if the first is the delay of index `from`.
    fn strange(&self, policy: &Policy, gaps: &[f64], from: usize) -> Vec<(usize, (f64, f64))> {
        let mut last = None;
        let mut found = Vec::new();
        for (index, gap) in gaps.iter().enumerate() {
            let (low, high) = policy.range(index + from, last);
            let (earliest, latest) = self.tolerant((low, high));
            if *gap < earliest || *gap > latest {
                found.push((index, (low, high)));
            }
            last = Some(*gap);
        }
        found
    }

    /// The range with what an attempt may come early and late.
    fn tolerant(&self, (low, high): (f64, f64)) -> (f64, f64) {
        let late = self.params.late.as_secs_f64().max(0.05 * high);
        (low - self.params.early.as_secs_f64(), high + late)
    }

    /// Whether a loop stopped although its database was still gone.
    fn gave_up(&self, policy: &Policy, lane: &[&Attempt]) -> Option<Evidence> {
        let failed = lane.last()?.failed?;
        let silence = self.window.1.since(failed).as_secs_f64();
        let (_, longest) = policy.range(lane.len(), attempts::gaps(lane).last().copied());
        let limit = 2.0 * longest + self.params.late.as_secs_f64();
        (silence > limit && self.demanded()).then(|| {
            let measured = format!("no attempt in the last {}", show::seconds(silence));
            let expected = "attempts go on until the database is back".to_owned();
            self.evidence(Verdict::Fail, "fault", expected, measured)
        })
    }

    fn describe(&self, finding: &mut Finding, lanes: &[Vec<&Attempt>]) {
        let starts = self.starts();
        finding.figure("attempts", starts.len() as f64);
        finding.figure("attempts_in_one_second", policy::peak(&starts) as f64);
        if let [lane] = lanes {
            let gaps = attempts::gaps(lane);
            for (index, gap) in gaps.iter().enumerate() {
                finding.figure(format!("gap_{:02}_s", index + 1), *gap);
            }
            finding.notes.extend(self.trend(&gaps));
            if let Some(first) = lane.first() {
                let after = show::time(first.start.since(self.window.0));
                finding.note(format!("first attempt {after} after the fault began"));
            }
        }
        if finding.verdict == Verdict::Pass {
            finding.summary = format!(
                "{} in {}, {} at most in one second",
                show::plural(starts.len() as u64, "attempt"),
                show::time(self.outage()),
                policy::peak(&starts)
            );
        }
        finding.help = match finding.verdict {
            Verdict::Pass => None,
            Verdict::Fail => Some(
                "let one supervisor reconnect for the whole pool, with a delay that grows, a \
                 maximum and jitter"
                    .to_owned(),
            ),
            Verdict::Inconclusive => Some(
                "let the fault last longer, with load on the service, so that more attempts fit"
                    .to_owned(),
            ),
        };
    }

    /// Whether the gaps grow, without any assumption about the policy.
    fn trend(&self, gaps: &[f64]) -> Option<String> {
        let cap = self.params.policy().map_or(f64::MAX, |policy| policy.max);
        let before_cap = gaps.iter().take_while(|gap| **gap < 0.8 * cap);
        let rising: Vec<f64> = before_cap.copied().take(TREND).collect();
        let mut growth: Vec<f64> = rising
            .windows(2)
            .filter(|pair| pair[0] > 0.0)
            .map(|pair| pair[1] / pair[0])
            .collect();
        growth.sort_unstable_by(f64::total_cmp);
        let median = stats::quantile(&growth, 0.5)?;
        Some(format!(
            "gaps {}; below the longest delay they grow by a factor of {median:.2} (p = {:.3} if \
             the order meant nothing)",
            listed(gaps),
            stats::kendall_p(&rising)
        ))
    }
}

fn listed(gaps: &[f64]) -> String {
    let gaps: Vec<String> = gaps.iter().map(|gap| show::seconds(*gap)).collect();
    gaps.join(", ")
}

#[cfg(test)]
mod tests;
