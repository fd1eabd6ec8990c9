use std::collections::BTreeMap;
use std::time::Duration;

use crate::event::Sample;
use crate::units::Moment;

/// A window cut into slots of one length. What is left at its end belongs to the last slot: alone
/// it would be judged by a handful of observations.
#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Observations in all.
    pub(super) samples: u64,
    /// Slots with observations.
    pub(super) judged: u64,
    /// Slots without observations, which say nothing.
    pub(super) empty: u64,
    /// Slots with less than the good share of observations that were ok.
    pub(super) bad: u64,
    /// How long they are together.
    pub(super) bad_time: Duration,
    /// How long the slots without observations beside bad ones are together.
    pub(super) unseen_time: Duration,
    /// How much longer than the others the last slot is.
    pub(super) rest: Duration,
    /// Unbroken rows of bad slots; slots without observations do not break them.
    pub(super) outages: u64,
    /// The beginning of the slot with the smallest share of observations that were ok, and that
    /// share.
    pub(super) worst: Option<(Moment, f64)>,
}

impl Slots {
    /// `samples` are those of the window.
    pub(super) fn cut(
        samples: &[Sample],
        (from, to): (Moment, Moment),
        length: Duration,
        good: f64,
    ) -> Self {
        let nanos = length.as_nanos().max(1);
        let whole = to.since(from).as_nanos();
        let all = (whole / nanos).max(1);
        let mut slots = Self {
            samples: samples.len() as u64,
            rest: duration(whole.saturating_sub(all * nanos)),
            ..Self::default()
        };
        let mut groups: BTreeMap<u128, (usize, usize)> = BTreeMap::new();
        for sample in samples {
            let slot = (sample.intended.since(from).as_nanos() / nanos).min(all - 1);
            let (ok, count) = groups.entry(slot).or_default();
            *ok += usize::from(sample.outcome.is_ok());
            *count += 1;
        }
        let (mut down, mut next) = (false, 0);
        for (slot, (ok, count)) in groups {
            let share = ok as f64 / count as f64;
            slots.judged += 1;
            if slots.worst.is_none_or(|(_, worst)| share < worst) {
                slots.worst = Some((from + duration(slot * nanos), share));
            }
            let bad = share < good;
            if bad {
                let last = slot == all - 1;
                slots.bad += 1;
                slots.bad_time += length + if last { slots.rest } else { Duration::ZERO };
            }
            slots.outages += u64::from(bad && !down);
            if bad || down {
                slots.unseen_time += duration((slot - next) * nanos);
            }
            (down, next) = (bad, slot + 1);
        }
        if down {
            slots.unseen_time += duration((all - next) * nanos);
        }
        slots.empty = u64::try_from(all)
            .unwrap_or(u64::MAX)
            .saturating_sub(slots.judged);
        slots
    }
}

fn duration(nanos: u128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
