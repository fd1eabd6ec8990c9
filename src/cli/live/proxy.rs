//! What the display knows of one proxy. Pure; it is told the time.

use std::time::Duration;

use crate::event::{ClosedBy, Event, Fact, Startup};
use crate::units::Moment;

/// While something moves, totals come so often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What went through a proxy so far; chaosproxy's own side probes are among it.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    open: u64,
    connections: u64,
    attempts: u64,
    dial_errors: u64,
    hits: u64,
    flow: Option<Flow>,
}

/// Upstream and downstream.
#[derive(Debug)]
struct Flow {
    at: Moment,
    bytes: [u64; 2],
    /// Bytes a second, just before.
    rates: [f64; 2],
}

impl Traffic {
    /// Takes note of a fact about this proxy.
    pub(super) fn see(&mut self, event: &Event) {
        match &event.fact {
            Fact::ConnectionOpened { .. } => {
                self.connections += 1;
                self.open += 1;
            }
            Fact::ConnectionClosed { cause, .. } => {
                self.open = self.open.saturating_sub(1);
                self.dial_errors += u64::from(matches!(cause, ClosedBy::Dial(_)));
            }
            Fact::StartupPacket {
                packet: Startup::Session { .. } | Startup::Tls,
                ..
            } => self.attempts += 1,
            Fact::FaultHit { .. } => self.hits += 1,
            Fact::ProxyTotals {
                upstream,
                downstream,
                ..
            } => {
                let bytes = [upstream.bytes, downstream.bytes];
                self.flow = Some(Flow::new(event.at, bytes, self.flow.as_ref()));
            }
            _ => {}
        }
    }

    /// In one line, what is most worth to know first.
    pub(super) fn line(&self, now: Moment) -> String {
        let mut parts = vec![format!("open {}", self.open)];
        if let Some(flow) = &self.flow {
            let [up, down] = flow.rates_at(now).map(rate);
            parts.push(format!("up {up}, down {down}"));
        }
        for (what, count) in [
            ("dial errors", self.dial_errors),
            ("hit by faults", self.hits),
            ("connections", self.connections),
            ("attempts", self.attempts),
        ] {
            if count > 0 {
                parts.push(format!("{what} {count}"));
            }
        }
        parts.join(", ")
    }
}

impl Flow {
    fn new(at: Moment, bytes: [u64; 2], before: Option<&Self>) -> Self {
        let rates = before.map_or([0.0; 2], |before| {
            // What moved after a long silence moved just now.
            let time = at.since(before.at).min(TOLD_EVERY).as_secs_f64();
            [0, 1].map(|way| bytes[way].saturating_sub(before.bytes[way]) as f64 / time.max(1e-3))
        });
        Self { at, bytes, rates }
    }

    /// None, once nothing was told for longer than it takes to tell.
    fn rates_at(&self, now: Moment) -> [f64; 2] {
        if now.since(self.at) > 2 * TOLD_EVERY {
            [0.0; 2]
        } else {
            self.rates
        }
    }
}

/// As wide for every figure, so that what stands behind it stays where it is.
fn rate(bytes: f64) -> String {
    let units = [("GB/s", 1e9), ("MB/s", 1e6), ("KB/s", 1e3)];
    match units.into_iter().find(|(_, scale)| bytes >= *scale) {
        Some((unit, scale)) => format!("{:>5.1} {unit}", bytes / scale),
        None => format!("{bytes:>5.0}  B/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Impact, Name, Volume};

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    /// A proxy that carried so many bytes up and down by these moments.
    fn carried(story: &[(u64, u64, u64)]) -> Traffic {
        let mut traffic = Traffic::default();
        for (ms, up, down) in story {
            let volume = |bytes| Volume { bytes, chunks: 1 };
            traffic.see(&Event {
                at: at(*ms),
                fact: Fact::ProxyTotals {
                    proxy: "db".into(),
                    upstream: volume(*up),
                    downstream: volume(*down),
                    own: None,
                    injected: None,
                    late: None,
                },
            });
        }
        traffic
    }

    #[test]
    fn a_flow_is_shown_while_it_lasts() {
        let traffic = carried(&[(0, 0, 0), (1000, 1_500, 2_500_000)]);
        let line = traffic.line(at(1200));
        assert_eq!(line, "open 0, up   1.5 KB/s, down   2.5 MB/s");
        let line = traffic.line(at(3100));
        assert_eq!(line, "open 0, up     0  B/s, down     0  B/s");
    }

    #[test]
    fn what_moves_after_a_silence_moved_just_now() {
        let traffic = carried(&[(0, 0, 0), (30_000, 3_000_000_000, 10)]);
        let line = traffic.line(at(30_000));
        assert_eq!(line, "open 0, up   3.0 GB/s, down    10  B/s");
    }

    #[test]
    fn trouble_is_told_before_counts_and_only_if_there_is_any() {
        let mut traffic = Traffic::default();
        let proxy: Name = "db".into();
        let opened = |conn| Fact::ConnectionOpened {
            proxy: proxy.clone(),
            conn,
            peer: ([127, 0, 0, 1], 1).into(),
        };
        let unreachable = Fact::ConnectionClosed {
            proxy: proxy.clone(),
            conn: 0,
            cause: ClosedBy::Dial("refused".into()),
            bytes_upstream: 0,
            bytes_downstream: 0,
        };
        let hit = Fact::FaultHit {
            fault: "loss".into(),
            proxy: proxy.clone(),
            conn: Some(1),
            impact: Impact::Withheld,
        };
        for fact in [opened(0), opened(1)] {
            traffic.see(&Event { at: at(1), fact });
        }
        assert_eq!(traffic.line(at(2)), "open 2, connections 2");
        for fact in [unreachable, hit] {
            traffic.see(&Event { at: at(3), fact });
        }
        assert_eq!(
            traffic.line(at(4)),
            "open 1, dial errors 1, hit by faults 1, connections 2"
        );
    }
}
