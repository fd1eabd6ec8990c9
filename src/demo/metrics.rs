//! Counters of a server, in the Prometheus text format.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::pool::{Counters, Snapshot, State};

/// Upper bounds of the latency histogram, in seconds.
const BOUNDS_S: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// Requests by route and status, and how long they took.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    routes: Mutex<BTreeMap<String, Route>>,
}

#[derive(Debug, Default)]
struct Route {
    by_status: BTreeMap<u16, u64>,
    /// Counts per bucket, not cumulative; the last one holds what exceeds every bound.
    buckets: [u64; BOUNDS_S.len() + 1],
    sum_s: f64,
}

impl Metrics {
    /// Counts one answered request.
    pub(super) fn answered(&self, route: &str, status: u16, latency: Duration) {
        let seconds = latency.as_secs_f64();
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let route = routes.entry(route.to_owned()).or_default();
        *route.by_status.entry(status).or_default() += 1;
        route.buckets[BOUNDS_S.partition_point(|bound| *bound < seconds)] += 1;
        route.sum_s += seconds;
    }

    /// The requests' metrics as text.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        let written = self.write(&mut text);
        debug_assert!(written.is_ok(), "writing to a string cannot fail");
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        let routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        head(text, "http_requests_total", "counter")?;
        for (name, route) in &*routes {
            for (status, count) in &route.by_status {
                writeln!(
                    text,
                    "http_requests_total{{route=\"{name}\",status=\"{status}\"}} {count}"
                )?;
            }
        }
        head(text, "http_errors_total", "counter")?;
        for (name, route) in &*routes {
            let errors: u64 = route.by_status.range(500..).map(|(_, count)| count).sum();
            writeln!(text, "http_errors_total{{route=\"{name}\"}} {errors}")?;
        }
        head(text, "http_request_duration_seconds", "histogram")?;
        for (name, route) in &*routes {
            route.write(text, name)?;
        }
        Ok(())
    }
}

impl Route {
    fn write(&self, text: &mut String, name: &str) -> fmt::Result {
        const METRIC: &str = "http_request_duration_seconds";
        let mut total = 0;
        for (bound, count) in BOUNDS_S.iter().zip(self.buckets) {
            total += count;
            writeln!(
                text,
                "{METRIC}_bucket{{route=\"{name}\",le=\"{bound}\"}} {total}"
            )?;
        }
        total += self.buckets[BOUNDS_S.len()];
        writeln!(
            text,
            "{METRIC}_bucket{{route=\"{name}\",le=\"+Inf\"}} {total}"
        )?;
        writeln!(text, "{METRIC}_sum{{route=\"{name}\"}} {}", self.sum_s)?;
        writeln!(text, "{METRIC}_count{{route=\"{name}\"}} {total}")
    }
}

/// A pool's metrics as text.
pub(super) fn render_pool(pool: &Snapshot, counters: &Counters) -> String {
    let gauges = [
        ("database_up", usize::from(pool.state != State::Unavailable)),
        ("db_pool_size", pool.size),
        ("db_pool_free", pool.free),
        ("db_pool_waiting", pool.waiting),
        ("db_pool_min_size", pool.min),
        ("db_pool_max_size", pool.max),
    ];
    let totals = [
        ("db_losses_total", counters.losses.to_string()),
        ("db_connect_attempts_total", counters.dials.to_string()),
        (
            "db_pool_wait_seconds_total",
            counters.waited.as_secs_f64().to_string(),
        ),
    ];
    let gauges = gauges
        .iter()
        .map(|(name, value)| format!("# TYPE {name} gauge\n{name} {value}\n"));
    let totals = totals
        .iter()
        .map(|(name, value)| format!("# TYPE {name} counter\n{name} {value}\n"));
    gauges.chain(totals).collect()
}

fn head(text: &mut String, name: &str, kind: &str) -> fmt::Result {
    writeln!(text, "# TYPE {name} {kind}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_end_with_the_count() {
        let metrics = Metrics::default();
        for ms in [1, 3, 40, 9000] {
            metrics.answered("/search", 200, Duration::from_millis(ms));
        }
        metrics.answered("/search", 503, Duration::from_millis(2));
        let text = metrics.render();
        for line in [
            "http_requests_total{route=\"/search\",status=\"200\"} 4",
            "http_errors_total{route=\"/search\"} 1",
            "http_request_duration_seconds_bucket{route=\"/search\",le=\"0.001\"} 1",
            "http_request_duration_seconds_bucket{route=\"/search\",le=\"0.005\"} 3",
            "http_request_duration_seconds_bucket{route=\"/search\",le=\"2.5\"} 4",
            "http_request_duration_seconds_bucket{route=\"/search\",le=\"+Inf\"} 5",
            "http_request_duration_seconds_count{route=\"/search\"} 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
