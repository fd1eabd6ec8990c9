use std::time::Duration;

use super::figures::{Worse, count_of, counts, unit, worse};
use super::{Baseline, Figures};
use crate::check::metric::Unit;
use crate::check::{Verdict, show, stats};

/// Runs that a baseline needs: from two nobody can tell how far runs differ by themselves.
pub(super) const NEEDED: usize = 3;
/// Share of verdicts that may be wrong, on either side together.
const ALPHA: f64 = 0.05;
/// A change of a share that is too small to matter.
const SHARE_FLOOR: f64 = 0.001;

/// How far figures may change.
#[derive(Debug, Clone, PartialEq)]
pub struct Tolerance {
    /// How much worse a figure may be, as a fraction of what it was.
    pub threshold: f64,
    /// A change of a time that is too small to matter.
    pub floor: Duration,
    /// The figure of the same run that each one is divided by, so that the speed of the machine
    /// cancels out.
    pub relative_to: Option<String>,
    /// How many figures are judged together; each then needs stronger evidence to fail.
    pub figures: usize,
}

/// What became of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Whether it is worse by more than is allowed.
    pub verdict: Verdict,
    /// The mean then and now, in the figure's unit or, if it is relative, as a ratio.
    pub means: Option<(f64, f64)>,
    /// What was measured, in words.
    pub measured: String,
}

/// A figure of one run.
struct Reading {
    /// Divided by the reference, if there is to be one.
    value: f64,
    /// As it was measured.
    raw: f64,
    /// How many observations it is a share of, if that is known.
    samples: Option<f64>,
}

/// Whether a figure of this name can be better or worse than another.
pub fn is_comparable(name: &str) -> bool {
    worse(name).is_some()
}

impl Baseline {
    /// The figures that can be compared, by name; the others say how many observations those rest
    /// on.
    pub fn comparable(&self) -> impl Iterator<Item = &String> {
        self.figures.keys().filter(|name| is_comparable(name))
    }

    /// Compares a figure of new runs with those stored, by Student's interval of the difference
    /// between the means: within the tolerance for certain, beyond it for certain, or neither.
    ///
    /// Few runs may agree by chance. What is worse is therefore blamed only if it is more than
    /// chance makes of shares and counts; of other figures that show no spread at
    /// all, only if so many runs are worse that their order tells.
    pub fn compare(&self, figure: &str, now: &[Figures], tolerance: &Tolerance) -> Change {
        let then = self.readings(figure, tolerance);
        let now: Vec<Reading> = now
            .iter()
            .filter_map(|run| tolerance.reading(figure, |name| run.get(name).copied()))
            .collect();
        let Some(way) = worse(figure) else {
            return undecided(format!("nobody can say which way `{figure}` is worse"));
        };
        if then.len() < NEEDED {
            let count = show::plural(then.len() as u64, "run");
            return undecided(format!(
                "`{figure}` is in {count} of the baseline, {NEEDED} needed"
            ));
        }
        if now.is_empty() {
            return undecided(format!("`{figure}` was not measured"));
        }
        weigh(figure, way, (&then, &now), tolerance)
    }

    /// The stored values of a figure, as far as there are any.
    fn readings(&self, figure: &str, tolerance: &Tolerance) -> Vec<Reading> {
        (0..self.runs.len())
            .filter_map(|run| {
                tolerance.reading(figure, |name| *self.figures.get(name)?.get(run)?)
            })
            .collect()
    }
}

fn undecided(measured: String) -> Change {
    Change {
        verdict: Verdict::Inconclusive,
        means: None,
        measured,
    }
}

impl Tolerance {
    /// A figure of a run, divided by the reference if there is to be one.
    fn reading(&self, figure: &str, of_run: impl Fn(&str) -> Option<f64>) -> Option<Reading> {
        let raw = of_run(figure)?;
        let value = match &self.relative_to {
            None => raw,
            Some(reference) => raw / of_run(reference).filter(|value| *value > 0.0)?,
        };
        Some(Reading {
            value,
            raw,
            samples: of_run(&count_of(figure)),
        })
    }
}

fn weigh(
    figure: &str,
    way: Worse,
    (then, now): (&[Reading], &[Reading]),
    tolerance: &Tolerance,
) -> Change {
    let chance = chance(figure, way, (then, now), tolerance);
    let values = |readings: &[Reading]| -> Vec<f64> {
        readings.iter().map(|reading| reading.value).collect()
    };
    let (then, now) = (values(then), values(now));
    let means = (stats::mean(&then), stats::mean(&now));
    let unit = match tolerance.relative_to {
        Some(_) => Unit::Number,
        None => unit(figure),
    };
    let floor = match unit {
        Unit::Time => tolerance.floor.as_secs_f64(),
        Unit::Share => SHARE_FLOOR,
        Unit::Number | Unit::Rate => 0.0,
    };
    let limit = (tolerance.threshold * means.0.abs()).max(floor);
    let shared = ALPHA / tolerance.figures.max(1) as f64;
    // The least and the most by which it became worse.
    let worse_by = |(low, high): (f64, f64)| match way {
        Worse::Up => (low, high),
        Worse::Down => (-high, -low),
    };
    let difference = match way {
        Worse::Up => means.1 - means.0,
        Worse::Down => means.0 - means.1,
    };
    let bounds = stats::student(&now, &then, ALPHA);
    let (least, most) = bounds.map_or((difference, difference), worse_by);
    let order = || stats::apart(now.len(), then.len());
    let (surely, chance) = match stats::student(&now, &then, shared) {
        Some(strict) => (worse_by(strict).0, chance.unwrap_or(0.0)),
        None => (difference, chance.unwrap_or_else(order)),
    };
    let verdict = if most <= limit {
        Verdict::Pass
    } else if surely > limit && chance <= shared / 2.0 {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    };
    let mut measured = words(figure, unit, means, bounds);
    if verdict == Verdict::Inconclusive && least > limit {
        measured.push_str(", which may be chance");
    }
    Change {
        verdict,
        means: Some(means),
        measured,
    }
}

/// The probability that a share or a count became so much worse by chance alone, however well the
/// runs agree. `None` of other figures, and of shares of an unknown number of observations.
fn chance(
    figure: &str,
    way: Worse,
    (then, now): (&[Reading], &[Reading]),
    tolerance: &Tolerance,
) -> Option<f64> {
    let is_share = unit(figure) == Unit::Share;
    let exposure = |reading: &Reading| {
        if is_share {
            reading.samples
        } else {
            counts(figure).then_some(1.0)
        }
    };
    let tally = |readings: &[Reading]| {
        readings.iter().try_fold((0.0, 0.0), |(hits, all), one| {
            let exposure = exposure(one)?;
            Some((hits + (one.raw * exposure).round(), all + exposure))
        })
    };
    let (then, now) = (tally(then)?, tally(now)?);
    Some(match way {
        Worse::Up => stats::by_chance(now, then, 1.0 + tolerance.threshold),
        Worse::Down => {
            let left = (1.0 - tolerance.threshold).max(f64::EPSILON);
            stats::by_chance(then, now, left.recip())
        }
    })
}

/// `` `reads.p95_s` 48 ms, 12 % more than 43 ms (95 % bounds -2 % to 25 %) ``.
fn words(figure: &str, unit: Unit, (then, now): (f64, f64), bounds: Option<(f64, f64)>) -> String {
    let value = |value| show::figure(unit, value);
    if then == 0.0 {
        return format!("`{figure}` {}, was {}", value(now), value(then));
    }
    let share = |difference: f64| show::percent(difference / then);
    let direction = if now >= then { "more" } else { "less" };
    let bounds = bounds.map_or_else(String::new, |(low, high)| {
        format!(
            " (95 % bounds of the change {} to {})",
            share(low),
            share(high)
        )
    });
    format!(
        "`{figure}` {}, {} {direction} than {}{bounds}",
        value(now),
        show::percent(((now - then) / then).abs()),
        value(then),
    )
}
