use std::time::Duration;

use super::figures::{Worse, unit, worse};
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

impl Baseline {
    /// Compares a figure of new runs with those stored, by Student's interval of the difference
    /// between the means: within the tolerance for certain, beyond it for certain, or neither.
    pub fn compare(&self, figure: &str, now: &[Figures], tolerance: &Tolerance) -> Change {
        let then = self.values(figure, tolerance);
        let now: Vec<f64> = now
            .iter()
            .filter_map(|run| tolerance.value(figure, |name| run.get(name).copied()))
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
    fn values(&self, figure: &str, tolerance: &Tolerance) -> Vec<f64> {
        (0..self.runs.len())
            .filter_map(|run| tolerance.value(figure, |name| *self.figures.get(name)?.get(run)?))
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
    /// The value of a figure in a run, divided by the reference if there is to be one.
    fn value(&self, figure: &str, of_run: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        let own = of_run(figure)?;
        match &self.relative_to {
            None => Some(own),
            Some(reference) => Some(own / of_run(reference).filter(|value| *value > 0.0)?),
        }
    }
}

fn weigh(figure: &str, way: Worse, (then, now): (&[f64], &[f64]), tolerance: &Tolerance) -> Change {
    let means = (stats::mean(then), stats::mean(now));
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
    let (Some(bounds), Some(strict)) = (
        stats::student(now, then, ALPHA),
        stats::student(now, then, shared),
    ) else {
        return undecided(format!("`{figure}` cannot be compared"));
    };
    // The least and the most by which it became worse.
    let (most, least) = match way {
        Worse::Up => (bounds.1, strict.0),
        Worse::Down => (-bounds.0, -strict.1),
    };
    let verdict = if most <= limit {
        Verdict::Pass
    } else if least > limit {
        Verdict::Fail
    } else {
        Verdict::Inconclusive
    };
    Change {
        verdict,
        means: Some(means),
        measured: words(figure, unit, means, bounds),
    }
}

/// `` `reads.p95_s` 48 ms, 12 % more than 43 ms (95 % bounds -2 % to 25 %) ``.
fn words(figure: &str, unit: Unit, (then, now): (f64, f64), (low, high): (f64, f64)) -> String {
    let value = |value| show::figure(unit, value);
    if then == 0.0 {
        return format!("`{figure}` {}, was {}", value(now), value(then));
    }
    let share = |difference: f64| show::percent(difference / then);
    let direction = if now >= then { "more" } else { "less" };
    format!(
        "`{figure}` {}, {} {direction} than {} (95 % bounds of the change {} to {})",
        value(now),
        show::percent(((now - then) / then).abs()),
        value(then),
        share(low),
        share(high)
    )
}
