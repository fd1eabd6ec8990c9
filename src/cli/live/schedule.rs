//! How far the schedule is, and what comes next. Pure; it is told the time.

use std::time::Duration;

use super::draw::width;
use crate::event::Name;

/// Cells of the bar, at most; one of fewer than half says little.
const BAR: usize = 24;

/// What is to be done, as far as the display tells of it.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) duration: Duration,
    /// When each fault begins, in order.
    pub(super) begins: Vec<(Duration, Name)>,
}

impl Schedule {
    /// In one line of so many columns: the time as `clock` tells it, the faults in force as `faults`
    /// does, and what comes next. Where columns are few the bar gives way first.
    pub(super) fn line(
        &self,
        elapsed: Duration,
        (clock, faults): (&str, &str),
        columns: usize,
    ) -> String {
        let time = format!("{clock} of {:.1} s", self.duration.as_secs_f64());
        let room = columns.saturating_sub(width(&time) + width(faults));
        let next = self.next(elapsed).filter(|next| width(next) <= room);
        let next = next.unwrap_or_default();
        let bar = self.bar(elapsed, room - width(&next));
        format!("{time}{bar}{faults}{next}")
    }

    /// Which fault begins next, and in how many seconds.
    fn next(&self, elapsed: Duration) -> Option<String> {
        let mut begins = self.begins.iter();
        let (at, fault) = begins.find(|(at, _)| *at > elapsed)?;
        let seconds = at.saturating_sub(elapsed).as_secs_f64().ceil();
        Some(format!("  next: {fault} in {seconds} s"))
    }

    fn bar(&self, elapsed: Duration, columns: usize) -> String {
        let cells = BAR.min(columns.saturating_sub(" []".len()));
        if cells < BAR / 2 {
            return String::new();
        }
        let part = elapsed.as_secs_f64() / self.duration.as_secs_f64().max(1e-9);
        let full = (0..cells).filter(|cell| (*cell as f64) < part * cells as f64);
        let full = full.count();
        format!(" [{}{}]", "#".repeat(full), ".".repeat(cells - full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_columns_are_few_the_bar_gives_way_to_what_is_in_force_and_what_comes_next() {
        let seconds = Duration::from_secs;
        let schedule = Schedule {
            duration: seconds(80),
            begins: vec![(seconds(2), "loss".into()), (seconds(50), "down".into())],
        };
        let (clock, faults, next) = ("40.0 s", "  FAULT loss for 38.0 s", "  next: down in 10 s");
        let line = |columns| schedule.line(seconds(40), (clock, faults), columns);
        let time = "40.0 s of 80.0 s";
        for (columns, bar, rest) in [
            (120, " [############............]", [faults, next]),
            (74, " [######......]", [faults, next]),
            (73, "", [faults, next]),
            (58, " [########........]", [faults, ""]),
            (40, "", [faults, ""]),
        ] {
            let line = line(columns);
            assert_eq!(line, format!("{time}{bar}{}", rest.concat()));
            assert!(columns == 40 || width(&line) <= columns);
        }
        let last = schedule.line(seconds(50), (clock, ""), 120);
        assert!(!last.contains("next"), "{last}");
    }
}
