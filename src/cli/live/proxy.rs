//! What the display knows of one proxy. Pure; it is told the time.

use std::collections::HashMap;
use std::time::Duration;

use super::connection;
use super::draw::{Tone, rate, unpadded, width};
use crate::check::{Attempts, Connection};
use crate::event::{ClosedBy, Event, Fact, OpenConnection};
use crate::units::Moment;

/// While something moves, totals come so often.
const TOLD_EVERY: Duration = Duration::from_secs(1);

/// What went through a proxy so far; chaosproxy's own side probes are among it.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    open: HashMap<u64, Connection>,
    connections: u64,
    attempts: Attempts,
    dial_errors: u64,
    hits: u64,
    flow: Option<Flow>,
    /// Whether connections are shown one by one.
    in_detail: bool,
    /// Those that were last said to be worth a look.
    connections_told: Vec<OpenConnection>,
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
    /// Of a proxy whose connections are shown one by one.
    pub(super) fn in_detail() -> Self {
        Self {
            in_detail: true,
            ..Self::default()
        }
    }

    /// Takes note of a fact about this proxy.
    pub(super) fn see(&mut self, event: &Event) {
        match &event.fact {
            Fact::ConnectionOpened { conn, peer, .. } => {
                self.connections += 1;
                let connection = Connection::new(*conn, *peer, event.at);
                self.open.insert(*conn, connection);
            }
            Fact::StartupPacket { conn, .. } => {
                if let Some(connection) = self.open.get_mut(conn) {
                    connection.see(event);
                    self.attempts.see(connection);
                }
            }
            Fact::ConnectionClosed { conn, cause, .. } => {
                if let Some(mut connection) = self.open.remove(conn) {
                    connection.see(event);
                    self.attempts.see(&connection);
                }
                self.connections_told.retain(|one| one.conn != *conn);
                self.dial_errors += u64::from(matches!(cause, ClosedBy::Dial(_)));
            }
            Fact::FaultHit { .. } => {
                self.hits += 1;
                self.attempts.see_hit(event);
            }
            Fact::ProxyTotals(totals) => {
                let bytes = [totals.upstream.bytes, totals.downstream.bytes];
                self.flow = Some(Flow::new(event.at, bytes, self.flow.as_ref()));
                self.connections_told.clone_from(&totals.connections);
            }
            _ => {}
        }
    }

    /// In one line of so many columns, what is most worth to know first. Where there is no room for
    /// all, what went wrong stays longest.
    pub(super) fn line(&self, now: Moment, columns: usize) -> String {
        let mut parts = vec![format!("open {}", self.open.len())];
        if let Some(flow) = &self.flow {
            let [up, down] = flow.rates_at(now).map(rate);
            parts.push(format!("up {up}, down {down}"));
        }
        for (what, count) in [
            ("dial errors", self.dial_errors),
            ("hit by faults", self.hits),
            ("connections", self.connections),
            ("attempts", self.attempts.count()),
        ] {
            if count > 0 {
                parts.push(format!("{what} {count}"));
            }
        }
        for less in ["attempts", "connections", "up"] {
            if width(&unpadded(&parts.join(", "))) > columns {
                parts.retain(|part| !part.starts_with(less));
            }
        }
        parts.join(", ")
    }

    /// The connections that are worth a look, the one that is most so first.
    pub(super) fn connections(&self, now: Moment) -> Vec<(String, Tone)> {
        let listed = self.connections_told.iter().filter(|_| self.in_detail);
        let peer = |conn| self.open.get(&conn).map(|connection| connection.peer);
        listed
            .map(|one| connection::line(one, peer(one.conn), now))
            .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Awaited, Carried, Impact, Name, Startup, Totals, Volume, Wait};

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    /// A proxy that carried so many bytes up and down by these moments.
    fn carried(story: &[(u64, u64, u64)]) -> Traffic {
        let mut traffic = Traffic::default();
        for (ms, up, down) in story {
            let volume = |bytes| Volume { bytes, chunks: 1 };
            let fact = totals(volume(*up), volume(*down), Vec::new());
            traffic.see(&Event { at: at(*ms), fact });
        }
        traffic
    }

    fn totals(upstream: Volume, downstream: Volume, connections: Vec<OpenConnection>) -> Fact {
        Fact::ProxyTotals(Box::new(Totals {
            proxy: "db".into(),
            upstream,
            downstream,
            own: None,
            injected: None,
            late: None,
            connections,
        }))
    }

    fn opened(conn: u64) -> Fact {
        let port = 40_000 + u16::try_from(conn).unwrap();
        Fact::ConnectionOpened {
            proxy: "db".into(),
            conn,
            peer: ([127, 0, 0, 1], port).into(),
        }
    }

    fn closed(conn: u64, cause: ClosedBy) -> Fact {
        Fact::ConnectionClosed {
            proxy: "db".into(),
            conn,
            cause,
            carried: Box::default(),
        }
    }

    #[test]
    fn connections_are_shown_in_detail_only_and_until_they_close() {
        let waiting = |conn| OpenConnection {
            conn,
            moved: 0,
            waits: Some(Wait {
                on: Awaited::Answer,
                since: at(1000),
            }),
            carried: Carried::default(),
        };
        let none = Volume::default();
        let shown = |mut traffic: Traffic| {
            let carried = totals(none, none, vec![waiting(1), waiting(0)]);
            for fact in [opened(0), opened(1), carried, closed(1, ClosedBy::Client)] {
                traffic.see(&Event { at: at(2000), fact });
            }
            let connections = traffic.connections(at(3000));
            connections.into_iter().map(|(text, _)| text).collect()
        };
        let detail: Vec<String> = shown(Traffic::in_detail());
        assert_eq!(detail, ["#0     127.0.0.1:40000       no answer for 2.0 s"]);
        let plain: Vec<String> = shown(Traffic::default());
        assert_eq!(plain, <[&str; 0]>::default());
    }

    #[test]
    fn a_flow_is_shown_while_it_lasts() {
        let traffic = carried(&[(0, 0, 0), (1000, 1_500, 2_500_000)]);
        let line = traffic.line(at(1200), 120);
        assert_eq!(line, "open 0, up   1.5 KB/s, down   2.5 MB/s");
        let line = traffic.line(at(3100), 120);
        assert_eq!(line, "open 0, up     0  B/s, down     0  B/s");
    }

    #[test]
    fn what_moves_after_a_silence_moved_just_now() {
        let traffic = carried(&[(0, 0, 0), (30_000, 3_000_000_000, 10)]);
        let line = traffic.line(at(30_000), 120);
        assert_eq!(line, "open 0, up   3.0 GB/s, down    10  B/s");
    }

    #[test]
    fn where_columns_are_few_counts_are_left_out_first_and_what_went_wrong_last() {
        let mut traffic = carried(&[(0, 0, 0), (1000, 1_500, 2_500_000)]);
        let unreachable = closed(0, ClosedBy::Dial("refused".into()));
        for fact in [opened(0), opened(1), unreachable] {
            traffic.see(&Event { at: at(1000), fact });
        }
        let line = |columns| unpadded(&traffic.line(at(1200), columns));
        let all = "open 1, up 1.5 KB/s, down 2.5 MB/s, dial errors 1, connections 2";
        assert_eq!(line(all.len()), all);
        assert_eq!(line(all.len() - 1), all.replace(", connections 2", ""));
        assert_eq!(line(40), "open 1, dial errors 1");
    }

    #[test]
    fn trouble_is_told_before_counts_and_only_if_there_is_any() {
        let mut traffic = Traffic::default();
        let proxy: Name = "db".into();
        let unreachable = closed(0, ClosedBy::Dial("refused".into()));
        let hit = Fact::FaultHit {
            fault: "loss".into(),
            proxy: proxy.clone(),
            conn: Some(1),
            impact: Impact::Withheld,
        };
        for fact in [opened(0), opened(1)] {
            traffic.see(&Event { at: at(1), fact });
        }
        assert_eq!(traffic.line(at(2), 120), "open 2, connections 2");
        for fact in [unreachable, hit] {
            traffic.see(&Event { at: at(3), fact });
        }
        assert_eq!(
            traffic.line(at(4), 120),
            "open 1, dial errors 1, hit by faults 1, connections 2"
        );
    }

    #[test]
    fn attempts_are_those_that_the_checks_count() {
        let asks = |conn, packet| Fact::StartupPacket {
            proxy: "db".into(),
            conn,
            packet,
        };
        let reset = |conn| closed(conn, ClosedBy::Fault("loss".into()));
        let mut traffic = Traffic::default();
        for (ms, fact) in [
            (0, opened(0)),
            (1, asks(0, Startup::Ssl)),
            (2, reset(0)),
            (200, opened(1)),
            (201, asks(1, Startup::Gss)),
            (202, reset(1)),
            (203, opened(2)),
            (204, asks(2, Startup::Ssl)),
            (400, opened(3)),
            (401, asks(3, Startup::Ssl)),
            (402, asks(3, Startup::Cancel)),
            (403, opened(4)),
        ] {
            traffic.see(&Event { at: at(ms), fact });
        }
        let line = traffic.line(at(500), 120);
        assert_eq!(line, "open 3, connections 5, attempts 2");
    }
}
