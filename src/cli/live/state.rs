//! What the display knows: the facts so far, boiled down. Pure; it is told the time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::draw::{Line, Tone};
use super::proxy::Traffic;
use super::source::Observed;
use super::{STATUS, news};
use crate::check::Experiment;
use crate::cli::output::Talk;
use crate::event::{Edge, Event, Fact, Name, Phase};
use crate::units::Moment;

/// Columns of a time.
const CLOCK: usize = 8;
/// Cells of the bar that shows how far the schedule is.
const BAR: usize = 24;

/// The facts so far.
#[derive(Debug)]
pub(super) struct State {
    duration: Duration,
    talk: Talk,
    /// How far back figures look.
    horizon: Duration,
    phase: Option<Phase>,
    zero: Option<Moment>,
    /// Kind and proxy of each fault, for people.
    kinds: BTreeMap<Name, String>,
    /// Faults in force, since when.
    active: BTreeMap<Name, Moment>,
    sources: BTreeMap<Name, Observed>,
    proxies: BTreeMap<Name, Traffic>,
    jobs: BTreeMap<Name, String>,
}

impl State {
    /// Of a run of `experiment` whose schedule takes `duration`.
    pub(super) fn new(experiment: &Experiment, duration: Duration, talk: Talk) -> Self {
        let what = |fault: &crate::check::FaultBrief| format!("{} on {}", fault.kind, fault.proxy);
        let horizon = match talk {
            Talk::Terminal | Talk::Off => Duration::from_secs(1),
            Talk::Lines => STATUS,
        };
        Self {
            duration,
            talk,
            horizon,
            phase: None,
            zero: None,
            kinds: experiment
                .faults
                .iter()
                .map(|fault| (fault.name.clone(), what(fault)))
                .collect(),
            active: BTreeMap::new(),
            sources: experiment
                .sources
                .iter()
                .map(|(name, brief)| (name.clone(), Observed::over(horizon, brief.timeout)))
                .collect(),
            proxies: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// Takes note of a fact. A line comes out if a person should know at once.
    pub(super) fn see(&mut self, event: &Event) -> Option<Line> {
        self.count(event);
        let (tone, text) = news::tell(event, self.phase, &self.kinds)?;
        let text = format!("{} {text}", self.clock(event.at));
        Some(Line { text, tone })
    }

    fn count(&mut self, event: &Event) {
        match &event.fact {
            Fact::Phase { phase } => {
                self.phase = Some(*phase);
                if *phase == Phase::Experiment {
                    self.zero = Some(event.at);
                }
            }
            Fact::FaultEdge { fault, edge, .. } => match edge {
                Edge::Inject => drop(self.active.insert(fault.clone(), event.at)),
                Edge::Lift => drop(self.active.remove(fault)),
            },
            Fact::HealedAll => self.active.clear(),
            Fact::Sample(sample) => self.source(&sample.source).see(event.at, sample),
            Fact::ConnectionOpened { proxy, .. }
            | Fact::ConnectionClosed { proxy, .. }
            | Fact::StartupPacket { proxy, .. } => self.traffic(proxy).see(event),
            Fact::ProxyTotals(totals) => self.traffic(&totals.proxy).see(event),
            // Faults hit services and databases too.
            Fact::FaultHit { proxy, .. } => {
                if let Some(traffic) = self.proxies.get_mut(proxy) {
                    traffic.see(event);
                }
            }
            Fact::JobStatus {
                workload,
                progress,
                state,
                ..
            } => {
                let progress = progress.map(|items| format!("{items} items"));
                let words: Vec<_> = progress.into_iter().chain(state.clone()).collect();
                self.jobs.insert(workload.clone(), words.join(", "));
            }
            _ => {}
        }
    }

    fn source(&mut self, name: &Name) -> &mut Observed {
        let new = || Observed::over(self.horizon, Duration::ZERO);
        self.sources.entry(name.clone()).or_insert_with(new)
    }

    fn traffic(&mut self, proxy: &Name) -> &mut Traffic {
        let new = match self.talk {
            Talk::Terminal => Traffic::in_detail,
            Talk::Lines | Talk::Off => Traffic::default,
        };
        self.proxies.entry(proxy.clone()).or_insert_with(new)
    }

    /// Seconds since time zero; before it, seconds since the start in brackets.
    fn clock(&self, at: Moment) -> String {
        match self.zero {
            Some(zero) => format!("{:>CLOCK$}", format!("{:.1} s", at.seconds_from(zero))),
            None => format!(
                "{:>CLOCK$}",
                format!("({:.1} s)", at.seconds_from(Moment::ZERO))
            ),
        }
    }

    /// Where the run is.
    pub(super) fn headline(&self, now: Moment) -> Line {
        let phase = self.phase.map_or("starting", news::phase_words);
        let mut text = format!("{} {phase}", self.clock(now));
        if let (Some(zero), Some(Phase::Experiment)) = (self.zero, self.phase) {
            let (bar, duration) = (self.bar(now.since(zero)), self.duration.as_secs_f64());
            text = format!("{} of {duration:.1} s {bar}", self.clock(now));
        }
        let in_force = |(fault, since): (&Name, &Moment)| {
            format!("{fault} for {:.1} s", now.since(*since).as_secs_f64())
        };
        let faults: Vec<_> = self.active.iter().map(in_force).collect();
        if faults.is_empty() {
            let tone = Tone::Heading;
            return Line { text, tone };
        }
        Line {
            text: format!("{text}  FAULT {}", faults.join(", ")),
            tone: Tone::Warning,
        }
    }

    fn bar(&self, elapsed: Duration) -> String {
        let part = elapsed.as_secs_f64() / self.duration.as_secs_f64().max(1e-9);
        let full = (0..BAR).filter(|cell| (*cell as f64) < part * BAR as f64);
        let full = full.count();
        format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
    }

    /// Where the run is, and below it the status, on a terminal with so many rows. Where they
    /// suffice, connections that are worth a look stand below their proxies.
    pub(super) fn screen(&self, now: Moment, rows: usize) -> Vec<Line> {
        let status = self.described(now);
        // Below the text, behind the time and the name.
        let indent = CLOCK + 1 + self.width() + 2;
        // The headline, and the row of the cursor.
        let mut room = rows.saturating_sub(status.len() + 2);
        let mut lines = vec![self.headline(now)];
        for (line, traffic) in status {
            lines.push(line);
            let connections = traffic.map(|traffic| traffic.connections(now));
            let connections = connections.into_iter().flatten().take(room);
            let before = lines.len();
            lines.extend(connections.map(|(text, tone)| Line {
                text: format!("{:indent$}{text}", ""),
                tone,
            }));
            room -= lines.len() - before;
        }
        lines
    }

    /// One line per source, proxy and job that has shown itself.
    pub(super) fn status(&self, now: Moment) -> Vec<Line> {
        let described = self.described(now).into_iter();
        described.map(|(line, _)| line).collect()
    }

    /// Each line of the status, and of a proxy all that is known.
    fn described(&self, now: Moment) -> Vec<(Line, Option<&Traffic>)> {
        let sources = self.sources.iter().filter_map(|(name, observed)| {
            let (figures, tone) = observed.line(now)?;
            Some((name, figures, tone, None))
        });
        let proxies = self
            .proxies
            .iter()
            .map(|(name, traffic)| (name, traffic.line(now), Tone::Plain, Some(traffic)));
        let jobs = self
            .jobs
            .iter()
            .map(|(name, text)| (name, text.clone(), Tone::Plain, None));
        let width = self.width();
        sources
            .chain(proxies)
            .chain(jobs)
            .map(|(name, text, tone, traffic)| {
                let text = format!("{} {name:<width$}  {text}", self.clock(now));
                (Line { text, tone }, traffic)
            })
            .collect()
    }

    /// Columns of the widest name.
    fn width(&self) -> usize {
        let names = (self.sources.keys())
            .chain(self.proxies.keys())
            .chain(self.jobs.keys());
        names.map(|name| name.chars().count()).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Awaited, Carried, OpenConnection, Startup, Totals, Volume, Wait};

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    fn state() -> State {
        let experiment = Experiment::default();
        State::new(&experiment, Duration::from_secs(80), Talk::Terminal)
    }

    fn see(state: &mut State, ms: u64, fact: Fact) -> Option<String> {
        let line = state.see(&Event { at: at(ms), fact });
        line.map(|line| line.text)
    }

    fn edge(edge: Edge, planned_ms: u64) -> Fact {
        Fact::FaultEdge {
            fault: "loss".into(),
            edge,
            occurrence: 0,
            planned: at(planned_ms),
            decided: at(planned_ms),
        }
    }

    #[test]
    fn times_count_from_time_zero_and_stand_in_brackets_before_it() {
        let mut state = state();
        let phase = Phase::SetUp;
        let line = see(&mut state, 1500, Fact::Phase { phase }).unwrap();
        assert_eq!(line, " (1.5 s) setting up");
        let phase = Phase::Experiment;
        let line = see(&mut state, 6000, Fact::Phase { phase }).unwrap();
        assert_eq!(line, "   0.0 s time zero: the schedule begins");
        let headline = state.headline(at(46_000)).text;
        assert_eq!(headline, "  40.0 s of 80.0 s [############............]");
    }

    #[test]
    fn a_fault_is_shown_from_its_beginning_to_its_end() {
        let mut state = state();
        let begins = see(&mut state, 1002, edge(Edge::Inject, 1000)).unwrap();
        assert!(begins.contains("fault loss begins"), "{begins}");
        assert!(begins.ends_with("(+2.0 ms)"), "{begins}");
        assert!(
            state
                .headline(at(3002))
                .text
                .contains("FAULT loss for 2.0 s")
        );
        see(&mut state, 4000, edge(Edge::Lift, 4000)).unwrap();
        assert!(!state.headline(at(4001)).text.contains("FAULT"));
    }

    #[test]
    fn connections_stand_below_their_proxy_where_there_is_room() {
        let mut state = state();
        let waiting = |conn| OpenConnection {
            conn,
            moved: 0,
            waits: Some(Wait {
                on: Awaited::Fault,
                since: at(1000),
            }),
            carried: Carried::default(),
        };
        for (proxy, connections) in [("db", vec![7, 8]), ("second", vec![9])] {
            let totals = Totals {
                proxy: proxy.into(),
                upstream: Volume::default(),
                downstream: Volume::default(),
                handovers: 0,
                own: None,
                injected: None,
                late: None,
                connections: connections.into_iter().map(waiting).collect(),
            };
            see(&mut state, 3000, Fact::ProxyTotals(Box::new(totals)));
        }
        let shown = |rows| {
            let lines = state.screen(at(3000), rows).into_iter();
            let words = lines.map(|line| line.text.trim_start().to_owned());
            let words = words.map(|line| line.chars().take(10).collect());
            words.collect::<Vec<String>>()
        };
        let (headline, db, second) = ("(3.0 s) st", "(3.0 s) db", "(3.0 s) se");
        let all = [headline, db, "#7", "#8", second, "#9"];
        let begins = |shown: Vec<String>, wanted: &[&str]| {
            let same = shown
                .iter()
                .zip(wanted)
                .all(|(line, word)| line.starts_with(word));
            assert!(same && shown.len() == wanted.len(), "{shown:?}");
        };
        begins(shown(7), &all);
        begins(shown(6), &all[..5]);
        begins(shown(5), &[headline, db, "#7", second]);
        begins(shown(2), &[headline, db, second]);
        let below = &state.screen(at(3000), 24)[2].text;
        assert_eq!(below.find('#'), Some(CLOCK + 1 + "second".len() + 2));
        assert_eq!(state.status(at(3000)).len(), 2);
    }

    #[test]
    fn attempts_and_jobs_are_counted_as_they_come() {
        let mut state = state();
        for conn in 0..3 {
            let peer = ([127, 0, 0, 1], 1).into();
            let proxy: Name = "db".into();
            see(
                &mut state,
                1,
                Fact::ConnectionOpened {
                    proxy: proxy.clone(),
                    conn,
                    peer,
                },
            );
            let packet = Startup::Tls;
            see(
                &mut state,
                1,
                Fact::StartupPacket {
                    proxy,
                    conn,
                    packet,
                },
            );
        }
        let job = Fact::JobStatus {
            workload: "index".into(),
            job: "1".into(),
            progress: Some(3420),
            done: false,
            state: Some("running".into()),
        };
        see(&mut state, 2, job);
        let shown: Vec<_> = state
            .status(at(3))
            .into_iter()
            .map(|line| line.text)
            .collect();
        assert_eq!(shown.len(), 2);
        assert!(
            shown[0].ends_with("db     open 3, connections 3, attempts 3"),
            "{shown:?}"
        );
        assert!(
            shown[1].ends_with("index  3420 items, running"),
            "{shown:?}"
        );
    }
}
