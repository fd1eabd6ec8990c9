//! Whether a bystander stays at its baseline.

use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;
use serde::{Deserialize, Serialize};

use crate::check::assertion::{Metric, Op, Unit, Value};
use crate::check::exercise::{self, Patience};
use crate::check::{
    Assertion, Check, CheckSpec, Evidence, Finding, History, Lint, Outlook, Verdict, Window, lint,
    show, stats,
};
use crate::event::{Name, Sample};
use crate::units::{Moment, Period, Share};

/// See [`Check::SUMMARY`].
#[derive(Debug)]
pub struct Isolation;

/// Parameters of an isolation check.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The bystander.
    pub service: Name,
    /// The time in which it must not notice.
    pub during: Window,
    /// What must hold of its workloads and probes in that time.
    pub that: Vec<Assertion>,
    /// A shift of a latency that is too small to matter. Default 5ms.
    #[serde(default = "floor")]
    pub floor: Period,
    /// How busy the machine may be for latencies to count. Default 95%.
    #[serde(default = "max_busy")]
    pub max_busy: Share,
    /// How late observations may be sent, at the 99th percentile, for latencies to count. Default
    /// 5ms.
    #[serde(default = "max_lateness")]
    pub max_lateness: Period,
}

const fn floor() -> Period {
    Period::from_millis(5)
}

fn max_busy() -> Share {
    Share::from_fraction(0.95).unwrap_or(Share::ALL)
}

const fn max_lateness() -> Period {
    Period::from_millis(5)
}

impl Check for Isolation {
    const TYPE: &'static str = "isolation";
    const SUMMARY: &'static str = "a bystander stays at its baseline while others suffer";
    type Params = Params;

    fn lint(params: &Params, outlook: &Outlook) -> Vec<Lint> {
        let mut found = lint::window(&params.during, outlook);
        found.extend(lint::assertions(&params.that, outlook));
        for (index, assertion) in params.that.iter().enumerate() {
            let brief = outlook.sources.get(&assertion.source);
            let Some(interval) = brief.and_then(|brief| brief.interval) else {
                continue;
            };
            let baseline = outlook.baseline.as_secs_f64() / interval.as_secs_f64().max(1e-9);
            let needed = needed(assertion.metric) as f64;
            if assertion.needs_baseline() && baseline < needed {
                found.push(Lint::warning(
                    format!("that[{index}]"),
                    format!("the baseline holds {baseline:.0} samples, {needed} are needed"),
                    "cannot be decided",
                    "raise the rate, or let the first fault begin later",
                ));
            }
        }
        found
    }

    fn judge(params: &Params, spec: &CheckSpec, history: &History) -> Finding {
        if let Some(why) = exercise::any_missing(history, params.during.faults()) {
            return Finding::inconclusive(spec, why, exercise::NO_VICTIMS);
        }
        let Some(window) = params.during.resolve(history) else {
            let why = format!("the window `{}` never was", params.during);
            return Finding::inconclusive(spec, why, "choose a window that the run reaches");
        };
        let case = Case {
            params,
            history,
            window,
        };
        let mut finding = Finding::new(spec, Verdict::Pass, "");
        for (index, assertion) in params.that.iter().enumerate() {
            let (verdict, measured) = case.demand(assertion);
            let samples = history.samples_in(&assertion.source, window);
            let evidence = Evidence::new(
                verdict,
                spec,
                &format!("that[{index}]"),
                assertion.to_string(),
                format!("`{}` {measured}", assertion.source),
            );
            finding
                .evidence
                .push(evidence.over(window, samples.len() as u64));
            let length = window.1.since(window.0);
            if let Some(value) = assertion.metric.of(samples, length) {
                let name = show::figure_name(&assertion.source, assertion.metric);
                finding.figure(name, value);
            }
        }
        finding.decide();
        for fault in params.during.faults() {
            finding.note(exercise::victims(history, fault));
        }
        finding.help = match finding.verdict {
            Verdict::Pass => None,
            Verdict::Fail => Some(format!(
                "look for what `{}` shares with the victim: a pool, a process, an upstream, the \
                 connection limit of a database, a call that waits for the victim",
                params.service
            )),
            Verdict::Inconclusive => Some(format!(
                "raise the rate on `{}` or lengthen its windows; {}",
                params.service,
                exercise::STARVED
            )),
        };
        finding
    }
}

/// Samples without a failure that are needed to call a rate zero.
const NEEDED_FOR_ZERO: u64 = 300;
/// Rounds of the bootstrap.
const ROUNDS: usize = 1_000;
/// Share of verdicts that may be wrong, on either side together.
const ALPHA: f64 = 0.05;
/// Any number: the same journal must always give the same verdict.
const SEED: u64 = 0x0063_6865_636b;

/// Samples that a comparison of a metric needs.
const fn needed(metric: Metric) -> u64 {
    match metric {
        Metric::P99 => 1_000,
        Metric::P95 => 200,
        Metric::ErrorRate | Metric::OkRatio | Metric::Timeouts => NEEDED_FOR_ZERO,
        Metric::P50 | Metric::Max | Metric::Count | Metric::Rate => 40,
    }
}

struct Case<'a> {
    params: &'a Params,
    history: &'a History,
    window: (Moment, Moment),
}

/// Bounds of the excess over the limit: a 95 % interval, and one that allows for several demands.
struct Excess {
    /// Two-sided 95 %.
    bounds: (f64, f64),
    /// The same at 5 % shared by all demands of the check.
    strict: (f64, f64),
    /// Upper bound of the shift against the baseline, where there is one.
    shift: Option<f64>,
}

impl Case<'_> {
    fn demand(&self, assertion: &Assertion) -> (Verdict, String) {
        let samples = self.history.samples_in(&assertion.source, self.window);
        let baseline = self.history.baseline();
        let before = self.history.samples_in(&assertion.source, baseline);
        let metric = assertion.metric;
        let measured = assertion.measure(
            samples,
            self.window.1.since(self.window.0),
            metric.of(before, baseline.1.since(baseline.0)),
        );
        if demands_zero(assertion) {
            return zero(samples);
        }
        let fewest = if assertion.needs_baseline() {
            samples.len().min(before.len()) as u64
        } else {
            samples.len() as u64
        };
        if fewest < needed(metric) {
            let needed = needed(metric);
            return (
                Verdict::Inconclusive,
                format!("{measured}, {needed} needed"),
            );
        }
        let (verdict, words) = match metric {
            Metric::ErrorRate | Metric::OkRatio => {
                let excess = self.rate_excess(assertion, samples, before);
                (
                    self.weigh(assertion, &excess),
                    interval(Unit::Share, &excess),
                )
            }
            Metric::P50 | Metric::P95 | Metric::P99 => {
                match self.latency_excess(assertion, samples, before) {
                    Some(excess) => (
                        self.weigh(assertion, &excess),
                        interval(Unit::Time, &excess),
                    ),
                    None => (Verdict::Inconclusive, String::new()),
                }
            }
            Metric::Max | Metric::Timeouts | Metric::Count | Metric::Rate => {
                let verdict = match measured.holds() {
                    Some(true) => Verdict::Pass,
                    Some(false) => Verdict::Fail,
                    None => Verdict::Inconclusive,
                };
                (verdict, String::new())
            }
        };
        let limit = measured
            .limit
            .map(|limit| show::figure(metric.unit(), limit));
        let limit = limit.unwrap_or_else(|| "unknown".to_owned());
        let words = format!("{measured} (limit {limit}{words})");
        self.unless_starved(assertion, verdict, words)
    }

    /// On a starved machine nothing but the absence of any failure can be believed.
    fn unless_starved(
        &self,
        assertion: &Assertion,
        verdict: Verdict,
        words: String,
    ) -> (Verdict, String) {
        let patience = Patience {
            max_busy: self.params.max_busy,
            max_lateness: self.params.max_lateness.get(),
        };
        match patience.exceeded(self.history, &assertion.source, self.window) {
            Some(why) => (Verdict::Inconclusive, format!("{words}, but {why}")),
            None => (verdict, words),
        }
    }

    /// The two levels: each demand by itself must be shown to hold, so a pass needs no correction;
    /// a failure of any fails the check, so the error is shared (the first step of Holm's method,
    /// which is the one that decides whether anything failed).
    fn strict_alpha(&self) -> f64 {
        ALPHA / self.params.that.len().max(1) as f64
    }

    fn rate_excess(&self, assertion: &Assertion, samples: &[Sample], before: &[Sample]) -> Excess {
        let tally = |samples: &[Sample]| {
            let ok = samples
                .iter()
                .filter(|sample| sample.outcome.is_ok())
                .count() as u64;
            let all = samples.len() as u64;
            match assertion.metric {
                Metric::OkRatio => (ok, all),
                _ => (all - ok, all),
            }
        };
        let bounds = |z: f64| match assertion.value {
            Value::OfBaseline(factor) => stats::newcombe(tally(samples), tally(before), factor, z),
            value => {
                let limit = value.limit(None).unwrap_or_default();
                let (hits, all) = tally(samples);
                let (low, high) = stats::wilson(hits, all, z);
                (low - limit, high - limit)
            }
        };
        Excess {
            bounds: bounds(stats::Z95),
            strict: bounds(stats::two_sided_z(self.strict_alpha())),
            shift: None,
        }
    }

    fn latency_excess(
        &self,
        assertion: &Assertion,
        samples: &[Sample],
        before: &[Sample],
    ) -> Option<Excess> {
        let q = assertion.metric.quantile()?;
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        let during = stats::bootstrap(&blocks(samples, self.window), q, ROUNDS, &mut rng);
        let (excess, shift) = match assertion.value {
            Value::OfBaseline(factor) => {
                let baseline = blocks(before, self.history.baseline());
                let baseline = stats::bootstrap(&baseline, q, ROUNDS, &mut rng);
                let pairs = || during.iter().zip(&baseline);
                let shift = pairs().map(|(now, then)| now - then).collect();
                let excess: Vec<f64> = pairs().map(|(now, then)| now - factor * then).collect();
                (excess, Some(stats::central(shift, ALPHA)?.1))
            }
            value => {
                let limit = value.limit(None)?;
                (during.iter().map(|now| now - limit).collect(), None)
            }
        };
        Some(Excess {
            bounds: stats::central(excess.clone(), ALPHA)?,
            strict: stats::central(excess, self.strict_alpha())?,
            shift,
        })
    }

    fn weigh(&self, assertion: &Assertion, excess: &Excess) -> Verdict {
        let floor = self.params.floor.as_secs_f64();
        if excess.shift.is_some_and(|shift| shift <= floor) && at_most(assertion.op) {
            return Verdict::Pass;
        }
        let ((low, high), strict) = (excess.bounds, excess.strict);
        let (holds, broken) = match assertion.op {
            Op::AtMost | Op::Below => (high <= 0.0, strict.0 > 0.0),
            Op::AtLeast | Op::Above => (low >= 0.0, strict.1 < 0.0),
            Op::Equal => (false, strict.0 > 0.0 || strict.1 < 0.0),
            Op::NotEqual => (low > 0.0 || high < 0.0, false),
        };
        match (holds, broken) {
            (true, _) => Verdict::Pass,
            (false, true) => Verdict::Fail,
            (false, false) => Verdict::Inconclusive,
        }
    }
}

const fn at_most(op: Op) -> bool {
    matches!(op, Op::AtMost | Op::Below)
}

/// Whether the assertion tolerates no failure at all.
fn demands_zero(assertion: &Assertion) -> bool {
    let Value::Share(share) = assertion.value else {
        return false;
    };
    let exact = share.fraction().to_bits();
    match (assertion.metric, assertion.op) {
        (Metric::ErrorRate, Op::Equal | Op::AtMost) => exact == 0.0_f64.to_bits(),
        (Metric::OkRatio, Op::Equal | Op::AtLeast) => exact == 1.0_f64.to_bits(),
        _ => false,
    }
}

fn zero(samples: &[Sample]) -> (Verdict, String) {
    let count = samples.len() as u64;
    let failed = samples
        .iter()
        .filter(|sample| !sample.outcome.is_ok())
        .count();
    let words = format!("failed {failed} of {}", show::samples(count));
    if failed > 0 {
        (Verdict::Fail, words)
    } else if count < NEEDED_FOR_ZERO {
        (
            Verdict::Inconclusive,
            format!("{words}, {NEEDED_FOR_ZERO} needed"),
        )
    } else {
        let bound = show::percent(3.0 / count as f64);
        (
            Verdict::Pass,
            format!("{words} (true rate at most {bound})"),
        )
    }
}

fn interval(unit: Unit, excess: &Excess) -> String {
    let (low, high) = excess.bounds;
    format!(
        "; 95 % bounds of the excess {} to {}",
        show::figure(unit, low),
        show::figure(unit, high)
    )
}

/// Latencies in bins of a second, or of a sixteenth of a short window.
fn blocks(samples: &[Sample], (from, to): (Moment, Moment)) -> stats::Blocks {
    let length = (to.since(from) / 16).min(Duration::from_secs(1));
    let nanos = length.as_nanos().max(1);
    let mut blocks: stats::Blocks = Vec::new();
    let mut current = None;
    for sample in samples {
        let bin = sample.intended.since(from).as_nanos() / nanos;
        if current != Some(bin) {
            blocks.push(Vec::new());
            current = Some(bin);
        }
        if let Some(block) = blocks.last_mut() {
            block.push(sample.latency().as_secs_f64());
        }
    }
    blocks
}

#[cfg(test)]
mod tests;
