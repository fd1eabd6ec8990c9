use std::time::Duration;

use crate::check::History;
use crate::event::{Answers, Name, Sample};
use crate::report::traffic::quantile_ms;
use crate::units::Moment;

/// Bins of one source at most, whatever the length of the run.
const MOST_BINS: u32 = 120;
/// Bins that a short run is still cut into, if that leaves few observations in each.
const FEWEST_BINS: u32 = 30;
/// Observations that a bin should hold, so that its percentiles differ.
const ENOUGH: u32 = 10;

/// What a workload or probe saw, in bins of equal length.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The workload or probe.
    pub source: Name,
    /// The service that it talks to.
    pub service: Name,
    /// Length of a bin.
    pub bin_s: f64,
    /// The bins in order, empty ones included.
    pub bins: Vec<Bin>,
}

/// One bin. An observation belongs to the bin in which it was meant to be sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bin {
    /// Where it begins.
    pub from_s: f64,
    /// Where it ends; the last one is cut behind the last observation.
    pub to_s: f64,
    /// Observations.
    pub requests: u64,
    /// Those that came out other than wanted.
    pub errors: u64,
    /// 50th, 95th and 99th percentile of the latency; `None` of nothing. Of few observations the
    /// upper ones are the longest.
    pub latency_ms: Option<[f64; 3]>,
}

pub(super) fn series(history: &History, origin: Moment) -> Vec<Series> {
    let sources = history.experiment().sources.iter();
    sources
        .filter_map(|(name, brief)| {
            let samples = history.samples(name);
            let bin = width(samples)?;
            Some(Series {
                source: name.clone(),
                service: brief.service.clone(),
                bin_s: bin.as_secs_f64(),
                bins: bins(samples, bin, brief.timeout, origin),
            })
        })
        .collect()
}

/// The length of a bin: a round number, near what the number of observations allows.
fn width(sorted: &[Sample]) -> Option<Duration> {
    let (first, last) = (sorted.first()?, sorted.last()?);
    let span = last.intended.since(first.intended);
    let count = u32::try_from(sorted.len()).unwrap_or(u32::MAX);
    let bins = (count / ENOUGH).clamp(FEWEST_BINS, MOST_BINS);
    let shortest = span.as_secs_f64() / f64::from(bins);
    let powers = (-3..).map(|power| 10_f64.powi(power));
    let round = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * power));
    let bin = round.take(64).find(|bin| *bin >= shortest)?;
    Some(Duration::from_secs_f64(bin))
}

/// Bins begin with the first observation.
fn bins(sorted: &[Sample], bin: Duration, deadline: Duration, origin: Moment) -> Vec<Bin> {
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return Vec::new();
    };
    let (begin, length) = (first.intended.seconds_from(origin), bin.as_secs_f64());
    let span = last.intended.since(first.intended).as_secs_f64();
    // The last bin goes as far as the next observation would have been.
    let end = begin + span + span / sorted.len() as f64;
    let (mut rest, mut bins) = (sorted, Vec::new());
    let mut next = first.intended;
    while !rest.is_empty() {
        next = next + bin;
        let (these, later) = rest.split_at(rest.partition_point(|one| one.intended < next));
        let from_s = begin + bins.len() as f64 * length;
        bins.push(Bin {
            from_s,
            to_s: if later.is_empty() && span > 0.0 {
                end.min(from_s + length)
            } else {
                from_s + length
            },
            requests: these.len() as u64,
            errors: these.iter().filter(|one| !one.outcome.is_ok()).count() as u64,
            latency_ms: percentiles(these, deadline),
        });
        rest = later;
    }
    bins
}

fn percentiles(samples: &[Sample], deadline: Duration) -> Option<[f64; 3]> {
    let counted = samples
        .iter()
        .filter_map(|sample| sample.counted_latency(Answers::Good, deadline));
    let mut latencies: Vec<_> = counted.collect();
    latencies.sort_unstable();
    (!latencies.is_empty()).then(|| [0.5, 0.95, 0.99].map(|share| quantile_ms(&latencies, share)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Outcome;

    /// Every `interval` milliseconds for `seconds`; each tenth times out after a second.
    fn samples(interval: u64, seconds: u64) -> Vec<Sample> {
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let sample = |index: u64| {
            let intended = at(index * interval);
            let lost = index % 10 == 9;
            Sample {
                source: "reads".into(),
                intended,
                sent: intended,
                done: intended + Duration::from_millis(if lost { 1000 } else { 2 }),
                outcome: if lost {
                    Outcome::Timeout
                } else {
                    Outcome::Ok { status: None }
                },
                digest: None,
            }
        };
        (0..seconds * 1000 / interval).map(sample).collect()
    }

    #[test]
    fn every_observation_is_in_one_bin_and_an_hour_has_no_more_bins_than_a_minute() {
        for (interval, seconds, expected) in [(10, 60, 120), (100, 60, 60), (50, 3600, 72)] {
            let samples = samples(interval, seconds);
            let bins = bins(
                &samples,
                width(&samples).unwrap(),
                Duration::ZERO,
                Moment::ZERO,
            );
            assert_eq!(bins.len(), expected, "every {interval} ms for {seconds} s");
            let requests: u64 = bins.iter().map(|bin| bin.requests).sum();
            assert_eq!(requests, samples.len() as u64);
            let errors: u64 = bins.iter().map(|bin| bin.errors).sum();
            assert_eq!(errors, samples.len() as u64 / 10);
        }
    }

    #[test]
    fn the_percentiles_of_a_bin_are_latencies_that_were_measured() {
        let samples = samples(10, 60);
        let bins = bins(
            &samples,
            Duration::from_secs(1),
            Duration::ZERO,
            Moment::ZERO,
        );
        assert_eq!(bins[3].latency_ms, Some([2.0, 1000.0, 1000.0]));
    }

    #[test]
    fn bins_before_time_zero_and_without_observations_keep_their_place() {
        let mut samples = samples(100, 4);
        samples.retain(|one| !(10..30).contains(&(one.intended.as_nanos() / 100_000_000)));
        let origin = Moment::from_nanos(2_000_000_000);
        let bins = bins(&samples, Duration::from_secs(1), Duration::ZERO, origin);
        let found: Vec<_> = bins.iter().map(|bin| (bin.from_s, bin.requests)).collect();
        assert_eq!(found, [(-2.0, 10), (-1.0, 0), (0.0, 0), (1.0, 10)]);
        assert_eq!(bins[1].latency_ms, None);
    }

    #[test]
    fn no_observations_are_no_series() {
        assert_eq!(width(&[]), None);
        assert_eq!(
            bins(&[], Duration::from_secs(1), Duration::ZERO, Moment::ZERO),
            []
        );
    }
}
