//! What a backoff check tells beside its verdict.

use super::attempts;
use super::case::Case;
use super::policy;
use crate::check::{Attempt, Finding, Verdict, show, stats};

/// Gaps that the trend is told from: a growing delay shows within these, and the exact probability
/// of more is costly.
const TREND: usize = 20;
/// Waits of one length that are a plateau.
const PLATEAU: usize = 3;
/// How much the longest of them may exceed the shortest: as with jitter of a fifth to either side.
const SAME_LENGTH: f64 = 1.5;

impl Case<'_> {
    pub(super) fn describe(&self, finding: &mut Finding, lanes: &[Vec<&Attempt>]) {
        let starts = self.starts();
        finding.figure("attempts", starts.len() as f64);
        finding.figure("attempts_in_one_second", policy::peak(&starts) as f64);
        if let [lane] = lanes
            && attempts::overlaps(lane, self.params.late.get()) == 0
        {
            let gaps = attempts::gaps(lane);
            for (index, gap) in gaps.iter().enumerate() {
                finding.figure(format!("gap_{:02}_s", index + 1), *gap);
            }
            finding.notes.extend(self.trend(&gaps));
            finding.notes.extend(plateau(&gaps));
            if let Some(first) = lane.first() {
                let after = show::time(first.start.since(self.felt));
                finding.note(format!("first attempt {after} after the loss"));
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
            Verdict::Inconclusive if !self.lost_any() => Some(
                "let the fault end connections, as `mode = \"reject\"` does, or last longer than the \
                 client's own deadline"
                    .to_owned(),
            ),
            Verdict::Inconclusive if self.params.policy().is_some() && lanes.is_empty() => Some(
                "give each loop an `application_name` of its own, or run with one connection, so \
                 that its gaps can be judged"
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
            .filter(|pair| pair[0] > 0.0 && pair[1] > 0.0)
            .map(|pair| pair[1] / pair[0])
            .collect();
        growth.sort_unstable_by(f64::total_cmp);
        let median = stats::quantile(&growth, 0.5)?;
        Some(format!(
            "gaps {}; below the longest delay they grow by a factor of {} (p = {} if \
             the order meant nothing)",
            attempts::listed(gaps),
            show::decimal(median, 2),
            show::decimal(stats::kendall_p(&rising), 3)
        ))
    }
}

/// The length at which the last waits stay, if the ones before were shorter.
fn plateau(gaps: &[f64]) -> Option<String> {
    let (mut low, mut high) = (f64::MAX, 0.0_f64);
    let same = gaps.iter().rev().take_while(|gap| {
        (low, high) = (low.min(**gap), high.max(**gap));
        high <= SAME_LENGTH * low
    });
    let count = same.count();
    let level = &gaps[gaps.len() - count..];
    let before = gaps[..gaps.len() - count].last()?;
    let mean = stats::mean(level);
    (count >= PLATEAU && *before < mean).then(|| {
        let mean = show::seconds(mean);
        format!("the last {count} waits stay at about {mean}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plateau_is_three_waits_of_one_length_after_a_shorter_one() {
        let level = |gaps: &[f64]| plateau(gaps);
        assert_eq!(
            level(&[0.5, 1.0, 2.0, 4.2, 3.8, 4.0]).unwrap(),
            "the last 3 waits stay at about 4 s"
        );
        assert_eq!(level(&[0.5, 1.0, 2.0, 4.0, 4.0]), None);
        assert_eq!(level(&[2.0, 2.0, 2.0, 2.0]), None);
        assert_eq!(level(&[8.0, 2.0, 2.0, 2.0]), None);
        assert_eq!(level(&[]), None);
    }
}
