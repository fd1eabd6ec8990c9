use std::time::Duration;

use crate::units::Moment;

/// How many sessions there were at any moment: a function in steps.
#[derive(Debug)]
pub(super) struct Level {
    /// From when on how many, in order; before the first there were none.
    steps: Vec<(Moment, u64)>,
}

impl Level {
    /// Of sessions that each lasted from one moment to another, excluding the second.
    pub(super) fn of(sessions: Vec<(Moment, Moment)>) -> Self {
        let mut edges: Vec<(Moment, i64)> = sessions
            .into_iter()
            .flat_map(|(from, to)| [(from, 1), (to, -1)])
            .collect();
        // At one moment ends come before beginnings.
        edges.sort_unstable();
        let mut count = 0_i64;
        let mut steps: Vec<(Moment, u64)> = Vec::new();
        for (at, change) in edges {
            count += change;
            let now = u64::try_from(count).expect("each end follows its beginning");
            match steps.last_mut() {
                Some(last) if last.0 == at => last.1 = now,
                _ => steps.push((at, now)),
            }
        }
        Self { steps }
    }

    fn at(&self, moment: Moment) -> u64 {
        let after = self.steps.partition_point(|(at, _)| *at <= moment);
        after.checked_sub(1).map_or(0, |last| self.steps[last].1)
    }

    /// The levels of a window, each with the moment from which on it held there.
    fn within(&self, (from, to): (Moment, Moment)) -> impl Iterator<Item = (Moment, u64)> {
        let inner = self.steps.iter().copied();
        let inner = inner.filter(move |(at, _)| *at > from && *at < to);
        std::iter::once((from, self.at(from))).chain(inner)
    }

    /// The most sessions of a window, and since when.
    pub(super) fn most(&self, window: (Moment, Moment)) -> (Moment, u64) {
        let first = (window.0, 0);
        self.within(window).fold(
            first,
            |most, step| if step.1 > most.1 { step } else { most },
        )
    }

    /// The fewest sessions of a window; `None` if it is empty.
    pub(super) fn fewest(&self, window: (Moment, Moment)) -> Option<u64> {
        let levels = self.within(window).map(|(_, level)| level);
        levels.min().filter(|_| window.0 < window.1)
    }

    /// When a window first had at least `count`.
    pub(super) fn reaches(&self, count: u64, window: (Moment, Moment)) -> Option<Moment> {
        let mut levels = self.within(window);
        levels.find(|(_, level)| *level >= count).map(|(at, _)| at)
    }

    /// The longest time without a break for which a window had more than `count`, and since when.
    pub(super) fn above(&self, count: u64, window: (Moment, Moment)) -> Option<(Moment, Duration)> {
        let mut longest = None;
        let mut since = None;
        for (at, level) in self.within(window).chain([(window.1, 0)]) {
            if level > count {
                since.get_or_insert(at);
            } else if let Some(since) = since.take() {
                longest = longest.max(Some((at.since(since), since)));
            }
        }
        longest.map(|(length, since)| (since, length))
    }

    /// The level that a window had for at least half of its time, or more.
    pub(super) fn usual(&self, window: (Moment, Moment)) -> u64 {
        let steps: Vec<(Moment, u64)> = self.within(window).collect();
        let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([window.1]);
        let mut lengths: Vec<(u64, u128)> = steps
            .iter()
            .zip(ends)
            .map(|((at, level), end)| (*level, end.since(*at).as_nanos()))
            .collect();
        lengths.sort_unstable();
        let half = window.1.since(window.0).as_nanos() / 2;
        let mut passed = 0;
        for (level, length) in lengths {
            passed += length;
            if passed > half {
                return level;
            }
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::testing::at;

    #[test]
    fn levels_are_counted_step_by_step() {
        let level = Level::of(vec![
            (at(1.0), at(9.0)),
            (at(2.0), at(4.0)),
            (at(4.0), at(9.0)),
            (at(5.0), Moment::MAX),
        ]);
        let all = (at(0.0), at(20.0));
        assert_eq!(level.most(all), (at(5.0), 3));
        assert_eq!(level.most((at(2.0), at(4.5))), (at(2.0), 2));
        assert_eq!(level.fewest((at(3.0), at(20.0))), Some(1));
        assert_eq!(level.fewest((at(3.0), at(3.0))), None);
        assert_eq!(level.reaches(3, all), Some(at(5.0)));
        assert_eq!(level.reaches(3, (at(6.0), at(7.0))), Some(at(6.0)));
        assert_eq!(level.reaches(4, all), None);
        assert_eq!(level.above(1, all), Some((at(2.0), at(9.0).since(at(2.0)))));
        assert_eq!(level.above(0, (at(3.0), at(20.0))).unwrap().0, at(3.0));
        assert_eq!(level.above(3, all), None);
        assert_eq!(level.usual((at(0.0), at(10.0))), 2);
        assert_eq!(level.usual((at(8.0), at(20.0))), 1);
        assert_eq!(Level::of(Vec::new()).most(all), (at(0.0), 0));
    }
}
