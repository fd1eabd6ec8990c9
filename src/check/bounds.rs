//! Demands on rates and percentiles, judged by confidence bounds: within the limit for certain,
//! beyond it for certain, or neither.
//!
//! The same service measured twice never gives the same p95, so a plain comparison would blame
//! chance.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::SeedableRng;
use rand_chacha::ChaCha12Rng;

use super::assertion::{Op, Value};
use super::exercise::{self, Excuse, STARVED};
use super::metric::{Metric, Tally, Unit};
use super::{Assertion, CheckSpec, Evidence, Finding, History, Measured, Verdict, show, stats};
use crate::event::{Answers, Sample};
use crate::units::Moment;

/// Samples without a failure that are needed to call a rate zero.
const NEEDED_FOR_ZERO: u64 = 300;
/// Rounds of the bootstrap.
const ROUNDS: usize = 1_000;
/// Share of verdicts that may be wrong, on either side together.
const ALPHA: f64 = 0.05;
/// Any number: the same journal must always give the same verdict.
const SEED: u64 = 0x0063_6865_636b;

/// Samples that a judgement of a metric needs.
pub(super) const fn needed(metric: Metric) -> u64 {
    match metric {
        Metric::P99 => 1_000,
        Metric::P95 => 200,
        Metric::ErrorRate | Metric::OkRatio | Metric::Timeouts => NEEDED_FOR_ZERO,
        Metric::P50 | Metric::Max | Metric::Count | Metric::Rate => 40,
    }
}

/// Samples without which a demand is never met: those of [`needed`], and of a share so many that its
/// bounds keep to the limit if none of them strays.
pub(super) fn fewest(assertion: &Assertion, min_samples: Option<u64>) -> u64 {
    let least = min_samples.unwrap_or(needed(assertion.metric)).max(1);
    let room = match (assertion.value, assertion.metric, assertion.op) {
        (Value::Share(limit), Metric::ErrorRate, Op::AtMost | Op::Below) => limit.fraction(),
        (Value::Share(limit), Metric::OkRatio, Op::AtLeast | Op::Above) => 1.0 - limit.fraction(),
        _ => return least,
    };
    if room <= 0.0 || demands_zero(assertion) {
        return least;
    }
    // Wilson's upper bound of none in n is z² / (n + z²).
    let shown = (stats::Z95.powi(2) * (1.0 - room) / room).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "room lies in 0..=1, so that it is not negative; a cast saturates"
    )]
    least.max(shown as u64)
}

/// Whether a demand can never be shown to hold: bounds have a width.
pub(super) fn unprovable(assertion: &Assertion) -> bool {
    let by_bounds = matches!(
        assertion.metric,
        Metric::ErrorRate | Metric::OkRatio | Metric::P50 | Metric::P95 | Metric::P99
    );
    by_bounds && assertion.op == Op::Equal && !demands_zero(assertion)
}

/// Several demands on one window.
pub(super) struct Demands<'a> {
    pub(super) history: &'a History,
    pub(super) window: (Moment, Moment),
    pub(super) that: &'a [Assertion],
    /// The answers that latencies are taken of.
    pub(super) of: Answers,
    /// A shift of a latency against its baseline that is too small to matter.
    pub(super) floor: Duration,
    /// Samples that each demand needs, if not those of [`needed`].
    pub(super) min_samples: Option<u64>,
}

/// What one demand came to.
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// What was measured, in words.
    pub(super) measured: String,
    /// Why it is undecided, if it is.
    pub(super) doubt: Option<Doubt>,
}

/// Why a demand is undecided; each has a remedy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Too few observations in the window.
    Few,
    /// Too few of them were answered well.
    FewGood,
    /// Too few observations in the baseline.
    FewBefore,
    /// A share is nearer to its limit than its bounds are wide.
    NearShare,
    /// So is a latency, whose bounds follow from the bins of the window, not from what is in them.
    NearLatency,
    /// The latency is that of an observation without an answer, and the limit not below its deadline.
    Unanswered,
    /// It may be the machine that was slow, not the service.
    Machine,
}

impl Judged {
    /// A verdict that leaves no doubt.
    pub(super) fn sure(verdict: Verdict, measured: &Measured) -> Self {
        Self {
            verdict,
            measured: measured.to_string(),
            doubt: None,
        }
    }
}

impl Doubt {
    /// What to do about it.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Few => "raise the rate or lengthen the window",
            Self::FewGood => {
                "find out why the others failed; a quick error counts as an answer only with \
                 `of = \"all\"`"
            }
            Self::FewBefore => "raise the rate, or let the first fault begin later",
            Self::NearShare => {
                "raise the rate or lengthen the window until the bounds are narrower than the \
                 distance to the limit"
            }
            Self::NearLatency => {
                "lengthen the window: the bounds follow from how its seconds differ, and more \
                 requests in each of them change little"
            }
            Self::Unanswered => {
                "demand `timeouts == 0`, or a limit below the `timeout` of the source"
            }
            Self::Machine => STARVED,
        }
    }
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

impl Demands<'_> {
    /// The finding that all demands together come to.
    pub(super) fn judge(&self, spec: &CheckSpec) -> Finding {
        let mut finding = Finding::new(spec, Verdict::Pass, "");
        let mut doubts = Vec::new();
        for (index, assertion) in self.that.iter().enumerate() {
            let Judged {
                verdict,
                measured,
                doubt,
            } = self.demand(assertion);
            doubts.extend(doubt);
            let (source, metric) = (&assertion.source, assertion.metric);
            let measurement = self.history.measure(assertion, self.of, self.window);
            let evidence = Evidence::new(
                verdict,
                spec,
                &format!("that[{index}]"),
                assertion.to_string(),
                format!("`{}` {measured}", assertion.source),
            );
            finding.evidence.push(
                evidence
                    .over(self.window, measurement.tally.all)
                    .of([&assertion.source]),
            );
            if let Some(value) = measurement.value {
                let name = show::figure_name(source, metric);
                finding.figure(name, value);
            }
        }
        finding.decide();
        if finding.verdict == Verdict::Inconclusive {
            let first = doubts.first().map(|doubt| doubt.advice().to_owned());
            finding.help = first;
        }
        finding
    }

    /// Judges one demand.
    pub(super) fn demand(&self, assertion: &Assertion) -> Judged {
        let samples = self.history.samples_in(&assertion.source, self.window);
        let baseline = self.history.baseline();
        let before = self.history.samples_in(&assertion.source, baseline);
        let metric = assertion.metric;
        let measured = self.history.measure(assertion, self.of, self.window);
        let needed = self.min_samples.unwrap_or(needed(metric)).max(1);
        if demands_zero(assertion) {
            return zero(samples, needed);
        }
        if measured.weight(false) < needed {
            return too_few(&measured, needed);
        }
        if let Some(few) = self.few_before(assertion, &measured, before, needed) {
            return few;
        }
        let (verdict, words) = match metric {
            Metric::ErrorRate | Metric::OkRatio | Metric::P50 | Metric::P95 | Metric::P99 => {
                match self.excess(assertion, samples, before) {
                    Some(excess) => (
                        self.weigh(assertion, &excess),
                        interval(metric.unit(), &excess),
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
        if verdict == Verdict::Pass && measured.weight(true) < needed {
            return too_few(&measured, needed);
        }
        let limit = measured
            .limit
            .map(|limit| show::figure(metric.unit(), limit));
        let limit = limit.unwrap_or_else(|| "unknown".to_owned());
        let words = format!("{measured} (limit {limit}{words})");
        if verdict == Verdict::Pass && measured.holds().is_none() {
            return unanswered(&words);
        }
        self.unless_starved(assertion, verdict, words)
    }

    /// Whether a comparison lacks observations in the baseline.
    fn few_before(
        &self,
        assertion: &Assertion,
        measured: &Measured,
        before: &[Sample],
        needed: u64,
    ) -> Option<Judged> {
        let count = match assertion.metric.unit() {
            Unit::Time => Tally::of(before).answers(self.of),
            _ => before.len() as u64,
        };
        (assertion.needs_baseline() && count < needed).then(|| {
            let count = show::samples(count);
            Judged {
                verdict: Verdict::Inconclusive,
                measured: format!("{measured}, but {count} in the baseline, {needed} needed"),
                doubt: Some(Doubt::FewBefore),
            }
        })
    }

    /// Whether it is broken as well without what the machine explains.
    fn fails_anyway(&self, assertion: &Assertion, excuse: &Excuse) -> bool {
        if !exercise::is_missed_anyway(excuse, (assertion, self.of), self.history, self.window) {
            return false;
        }
        let samples = self.history.samples_in(&assertion.source, self.window);
        let baseline = self.history.baseline();
        let before = self.history.samples_in(&assertion.source, baseline);
        let excess = self.excess(assertion, &excuse.relieve(samples), before);
        // What is not judged by bounds is exact.
        excess.is_none_or(|excess| self.weigh(assertion, &excess) == Verdict::Fail)
    }

    /// By how much a share or a percentile is beyond its limit.
    fn excess(
        &self,
        assertion: &Assertion,
        during: &[Sample],
        before: &[Sample],
    ) -> Option<Excess> {
        match assertion.metric {
            Metric::ErrorRate | Metric::OkRatio => {
                Some(self.rate_excess(assertion, during, before))
            }
            _ => self.latency_excess(assertion, during, before),
        }
    }

    /// On a starved machine little but the absence of any failure can be believed.
    fn unless_starved(&self, assertion: &Assertion, verdict: Verdict, words: String) -> Judged {
        let exceeded = exercise::slowed(self.history, &assertion.source, self.window);
        // What is good enough on a starved machine is good enough on any.
        let surely = |excuse: &Excuse| match verdict {
            Verdict::Pass => wants_little_trouble(assertion),
            Verdict::Fail => self.fails_anyway(assertion, excuse),
            Verdict::Inconclusive => false,
        };
        if let Some(excuse) = exceeded.filter(|excuse| !surely(excuse)) {
            return Judged {
                verdict: Verdict::Inconclusive,
                measured: format!("{words}, but {}", excuse.why()),
                doubt: Some(Doubt::Machine),
            };
        }
        let near = match assertion.metric.unit() {
            Unit::Time => Doubt::NearLatency,
            _ => Doubt::NearShare,
        };
        Judged {
            verdict,
            measured: words,
            doubt: (verdict == Verdict::Inconclusive).then_some(near),
        }
    }

    /// The two levels: each demand by itself must be shown to hold, so a pass needs no correction;
    /// a failure of any fails the check, so the error is shared (the first step of Holm's method,
    /// which is the one that decides whether anything failed).
    fn strict_alpha(&self) -> f64 {
        ALPHA / self.that.len().max(1) as f64
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
        let deadline = self.history.experiment().deadline(&assertion.source);
        let mut rng = ChaCha12Rng::seed_from_u64(SEED);
        let blocks = |samples, window| blocks(samples, window, (self.of, deadline));
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
        let floor = self.floor.as_secs_f64();
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

/// Too few observations, or too few that were answered well.
pub(super) fn too_few(measured: &Measured, needed: u64) -> Judged {
    Judged {
        verdict: Verdict::Inconclusive,
        measured: format!("{measured}, {needed} needed"),
        doubt: Some(if measured.tally.all < needed.max(1) {
            Doubt::Few
        } else {
            Doubt::FewGood
        }),
    }
}

/// A latency that is no answer's.
pub(super) fn unanswered(words: &str) -> Judged {
    Judged {
        verdict: Verdict::Inconclusive,
        measured: format!("{words}, but it is that of an observation without an answer"),
        doubt: Some(Doubt::Unanswered),
    }
}

const fn at_most(op: Op) -> bool {
    matches!(op, Op::AtMost | Op::Below)
}

/// Whether the assertion limits what is slow or fails, by itself and not against a baseline: then a
/// starved machine can only have made it harder to keep.
fn wants_little_trouble(assertion: &Assertion) -> bool {
    let limits_trouble = match assertion.metric {
        Metric::OkRatio => matches!(assertion.op, Op::AtLeast | Op::Above),
        Metric::Count | Metric::Rate => false,
        _ => at_most(assertion.op),
    };
    limits_trouble && !assertion.needs_baseline()
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

fn zero(samples: &[Sample], needed: u64) -> Judged {
    let count = samples.len() as u64;
    let failed = samples
        .iter()
        .filter(|sample| !sample.outcome.is_ok())
        .count();
    let words = format!("failed {failed} of {}", show::samples(count));
    let (verdict, measured) = if failed > 0 {
        (Verdict::Fail, words)
    } else if count < needed {
        (Verdict::Inconclusive, format!("{words}, {needed} needed"))
    } else {
        let bound = show::percent(3.0 / count as f64);
        let measured = format!("{words} (true rate at most {bound})");
        (Verdict::Pass, measured)
    };
    Judged {
        verdict,
        measured,
        doubt: (verdict == Verdict::Inconclusive).then_some(Doubt::Few),
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
fn blocks(
    samples: &[Sample],
    (from, to): (Moment, Moment),
    (of, deadline): (Answers, Duration),
) -> stats::Blocks {
    let length = (to.since(from) / 16).min(Duration::from_secs(1));
    let nanos = length.as_nanos().max(1);
    let mut blocks: BTreeMap<u128, Vec<f64>> = BTreeMap::new();
    for sample in samples {
        let Some(latency) = sample.counted_latency(of, deadline) else {
            continue;
        };
        let bin = sample.intended.since(from).as_nanos() / nanos;
        blocks.entry(bin).or_default().push(latency.as_secs_f64());
    }
    blocks.into_values().collect()
}
