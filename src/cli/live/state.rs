//! What the display knows: the facts so far, boiled down. Pure; it is told the time.

use std::collections::BTreeMap;
use std::time::Duration;

use super::draw::{Line, Tone, width};
use super::proxy::Traffic;
use super::schedule::Schedule;
use super::source::Observed;
use super::{STATUS, news};
use crate::check::Experiment;
use crate::cli::output::Talk;
use crate::event::{ClosedBy, Edge, Event, Fact, Name, Phase};
use crate::report;
use crate::units::Moment;

/// Columns of a time.
const CLOCK: usize = 8;
/// Columns of a terminal on which the headline alone tells the time.
const NARROW: usize = 79;

/// The facts so far.
#[derive(Debug)]
pub(super) struct State {
    schedule: Schedule,
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
    /// How many dials of a proxy failed since the gate was last judged, and why the last one did.
    unreached: BTreeMap<Name, (u64, String)>,
    jobs: BTreeMap<Name, String>,
}

impl State {
    /// Of a run of `experiment` with this schedule.
    pub(super) fn new(experiment: &Experiment, schedule: Schedule, talk: Talk) -> Self {
        let what = |fault: &crate::check::FaultBrief| format!("{} on {}", fault.kind, fault.proxy);
        let horizon = match talk {
            Talk::Terminal | Talk::Off => Duration::from_secs(1),
            Talk::Lines => STATUS,
        };
        Self {
            schedule,
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
            unreached: BTreeMap::new(),
            jobs: BTreeMap::new(),
        }
    }

    /// Takes note of a fact. A line comes out if a person should know at once.
    pub(super) fn see(&mut self, event: &Event) -> Option<Line> {
        self.count(event);
        let (tone, text) = news::describe(event, self.phase, &self.kinds)?;
        let mut text = format!("{} {text}", self.clock(event.at));
        if let Fact::SteadyState { met, .. } = event.fact {
            let unreached = std::mem::take(&mut self.unreached);
            for (proxy, (count, why)) in unreached.into_iter().filter(|_| !met) {
                text.push_str("; ");
                text.push_str(&report::unreached(&proxy, count, &why));
            }
        }
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
            Fact::ConnectionClosed { proxy, cause, .. } => {
                self.traffic(proxy).see(event);
                // What fails while faults are in force is no news.
                if let (ClosedBy::Dial(why), None) = (cause, self.zero) {
                    let (count, last) = self.unreached.entry(proxy.clone()).or_default();
                    (*count, *last) = (*count + 1, why.clone());
                }
            }
            Fact::ConnectionOpened { proxy, .. } | Fact::StartupPacket { proxy, .. } => {
                self.traffic(proxy).see(event);
            }
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

    /// Where the run is, what is in force and what comes next, in so many columns.
    fn headline(&self, now: Moment, columns: usize) -> Line {
        let in_force = |(fault, since): (&Name, &Moment)| {
            format!("{fault} for {:.1} s", now.since(*since).as_secs_f64())
        };
        let faults: Vec<_> = self.active.iter().map(in_force).collect();
        let (tone, faults) = if faults.is_empty() {
            (Tone::Heading, String::new())
        } else {
            (Tone::Warning, format!("  FAULT {}", faults.join(", ")))
        };
        let (Some(zero), Some(Phase::Experiment)) = (self.zero, self.phase) else {
            let phase = self.phase.map_or("starting", news::phase_words);
            let text = format!("{} {phase}{faults}", self.clock(now));
            return Line { text, tone };
        };
        let clock = self.clock(now);
        let text = (self.schedule).line(now.since(zero), (&clock, &faults), columns);
        Line { text, tone }
    }

    /// Where the run is, and below it the status, on a terminal with so many rows and columns. Where
    /// rows suffice, connections that are worth a look stand below their proxies.
    pub(super) fn screen(&self, now: Moment, rows: usize, columns: usize) -> Vec<Line> {
        let clock = match columns {
            ..=NARROW => String::new(),
            _ => self.clock(now) + " ",
        };
        // The last column stays free, so that no line wraps.
        let columns = columns.saturating_sub(1);
        let status = self.described(now, &clock, columns);
        // Below the text, behind the time and the name.
        let indent = width(&clock) + self.names() + 2;
        // The headline, and the row of the cursor.
        let mut room = rows.saturating_sub(status.len() + 2);
        let mut lines = vec![self.headline(now, columns)];
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
        let described = self.described(now, &(self.clock(now) + " "), usize::MAX);
        let described = described.into_iter();
        described.map(|(line, _)| line).collect()
    }

    /// Each line of the status, in so many columns and behind the time, and of a proxy all that is
    /// known.
    fn described(&self, now: Moment, clock: &str, columns: usize) -> Vec<(Line, Option<&Traffic>)> {
        let names = self.names();
        let room = columns.saturating_sub(width(clock) + names + 2);
        let sources = self.sources.iter().filter_map(|(name, observed)| {
            let (figures, tone) = observed.line(now)?;
            Some((name, figures, tone, None))
        });
        let proxies = self
            .proxies
            .iter()
            .map(|(name, traffic)| (name, traffic.line(now, room), Tone::Plain, Some(traffic)));
        let jobs = self
            .jobs
            .iter()
            .map(|(name, text)| (name, text.clone(), Tone::Plain, None));
        sources
            .chain(proxies)
            .chain(jobs)
            .map(|(name, text, tone, traffic)| {
                let text = format!("{clock}{name:<names$}  {text}");
                (Line { text, tone }, traffic)
            })
            .collect()
    }

    /// Columns of the widest name.
    fn names(&self) -> usize {
        let names = (self.sources.keys())
            .chain(self.proxies.keys())
            .chain(self.jobs.keys());
        names.map(|name| width(name)).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{AskedBy, Awaited, Carried, OpenConnection, Startup, Totals, Volume, Wait};

    fn at(ms: u64) -> Moment {
        Moment::ZERO + Duration::from_millis(ms)
    }

    fn state() -> State {
        let experiment = Experiment::default();
        let schedule = Schedule {
            duration: Duration::from_secs(80),
            begins: Vec::new(),
        };
        State::new(&experiment, schedule, Talk::Terminal)
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
            planned: Some(at(planned_ms)),
            decided: at(planned_ms),
            by: AskedBy::Schedule,
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
        let headline = state.headline(at(46_000), 80).text;
        assert_eq!(headline, "  40.0 s of 80.0 s [############............]");
    }

    #[test]
    fn a_fault_is_shown_from_its_beginning_to_its_end() {
        let mut state = state();
        let begins = see(&mut state, 1002, edge(Edge::Inject, 1000)).unwrap();
        assert!(begins.contains("fault loss begins"), "{begins}");
        assert!(begins.ends_with("(+2.0 ms)"), "{begins}");
        let headline = state.headline(at(3002), 80).text;
        assert!(headline.contains("FAULT loss for 2.0 s"), "{headline}");
        see(&mut state, 4000, edge(Edge::Lift, 4000)).unwrap();
        assert!(!state.headline(at(4001), 80).text.contains("FAULT"));
    }

    #[test]
    fn an_upstream_that_was_not_reached_is_told_with_the_steady_state() {
        let mut state = state();
        let judged = |met| Fact::SteadyState {
            gate: crate::event::Gate::Before,
            from: at(0),
            met,
            conditions: Vec::new(),
        };
        let dialled = |why: &str| Fact::ConnectionClosed {
            proxy: "db".into(),
            conn: 0,
            cause: ClosedBy::Dial(why.to_owned()),
            carried: Box::default(),
        };
        for why in ["no answer", "refused"] {
            see(&mut state, 1, dialled(why));
        }
        let line = see(&mut state, 2, judged(false)).unwrap();
        let unreached =
            "; proxy `db` could not reach its upstream: 2 dials failed, the last: refused";
        assert!(line.ends_with(unreached), "{line}");
        let line = see(&mut state, 3, judged(false)).unwrap();
        assert!(!line.contains("upstream"), "{line}");
        see(&mut state, 4, dialled("refused"));
        let line = see(&mut state, 5, judged(true)).unwrap();
        assert!(!line.contains("upstream"), "{line}");
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
                own: None,
                injected: None,
                late: None,
                connections: connections.into_iter().map(waiting).collect(),
            };
            see(&mut state, 3000, Fact::ProxyTotals(Box::new(totals)));
        }
        let shown = |rows| {
            let lines = state.screen(at(3000), rows, 80).into_iter();
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
        let below = &state.screen(at(3000), 24, 80)[2].text;
        assert_eq!(below.find('#'), Some(CLOCK + 1 + "second".len() + 2));
        let narrow = state.screen(at(3000), 24, 60);
        assert!(narrow[1].text.starts_with("db      open 0"), "{narrow:?}");
        assert_eq!(narrow[2].text.find('#'), Some("second".len() + 2));
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
