use std::collections::BTreeMap;

use crate::check::History;
use crate::event::{Edge, Event, Fact, Gate, Phase, ServiceChange};
use crate::units::Moment;

/// Facts of the run that are shown at most.
const MOST_FACTS: usize = 300;
/// Log lines of services that are shown at most.
const MOST_LINES: usize = 200;
/// How often lines of a service that differ only in their numbers are shown.
const MOST_ALIKE: usize = 5;
/// Lines that come more often than this are routine, of which one is shown.
const ROUTINE: usize = 50;
/// Longer texts are cut.
const MOST_CHARS: usize = 300;

/// What happened in a run, in order, and how much is not shown.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct EventLog {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Events worth an entry that found no room.
    pub left_out: usize,
    /// Log lines of services that are not shown because they are like others that are.
    pub alike: usize,
}

/// One line of the event log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// When; negative before time zero.
    pub at_s: f64,
    /// What it concerns: a fault, a service, a database, the run.
    pub subject: String,
    /// What happened.
    pub text: String,
}

pub(super) fn log(history: &History, origin: Moment) -> EventLog {
    let events = history.events();
    let mut alike = Alike::count(events);
    let (mut facts, mut lines) = (Vec::new(), Vec::new());
    for event in events {
        let (list, entry) = match &event.fact {
            Fact::Log { service, line, .. } => (&mut lines, alike.entry(service, line)),
            fact => (&mut facts, entry(fact)),
        };
        list.extend(entry.map(|(subject, text)| Entry {
            at_s: event.at.seconds_from(origin),
            subject,
            text: cut(text),
        }));
    }
    let left_out = ends(&mut facts, MOST_FACTS) + ends(&mut lines, MOST_LINES);
    let mut entries = facts;
    entries.append(&mut lines);
    entries.sort_by(|one, other| one.at_s.total_cmp(&other.at_s));
    EventLog {
        entries,
        left_out,
        alike: alike.left_out,
    }
}

/// Keeps `most` of the entries, a quarter of them from the end: how it began and how it came out.
/// Gives how many are gone.
fn ends(entries: &mut Vec<Entry>, most: usize) -> usize {
    let gone = entries.len().saturating_sub(most);
    let begin = most - most / 4;
    if gone > 0 {
        entries.drain(begin..begin + gone);
    }
    gone
}

/// Subject and text of a fact that is always worth an entry.
fn entry(fact: &Fact) -> Option<(String, String)> {
    let run = |text: String| Some(("run".to_owned(), text));
    match fact {
        Fact::Phase { phase } => run(entered(*phase).to_owned()),
        Fact::SteadyState { gate, met, .. } => run(format!(
            "steady state {} {}",
            match gate {
                Gate::Before => "before the faults",
                Gate::After => "after the faults",
            },
            if *met { "confirmed" } else { "not met" }
        )),
        Fact::FaultEdge {
            fault,
            edge,
            occurrence,
            by,
            ..
        } => {
            let edge = match edge {
                Edge::Inject => "injected",
                Edge::Lift => "lifted",
            };
            let again = match occurrence {
                0 => String::new(),
                more => format!(" (time {})", more + 1),
            };
            let by = match by.words() {
                "" => String::new(),
                by => format!(" {by}"),
            };
            Some((fault.to_string(), format!("{edge}{by}{again}")))
        }
        Fact::FaultMoved { fault, values, .. } => {
            let values = values
                .iter()
                .map(|(name, value)| format!("{name} = {value}"));
            Some((fault.to_string(), values.collect::<Vec<_>>().join(", ")))
        }
        Fact::PathOpen { proxy, fault } => Some((
            fault.to_string(),
            format!("the path through {proxy} is open again"),
        )),
        Fact::Service { service, change } => Some((service.to_string(), changed(change))),
        Fact::Database { database, change } => Some((database.to_string(), change.clone())),
        Fact::Abort { when, measured } => run(format!("aborted: `{when}` held: {measured}")),
        Fact::Interrupted { signal } => run(format!("interrupted by {signal}")),
        Fact::HealedAll => run("every fault is lifted".to_owned()),
        Fact::LogGap(gap) => Some((gap.service.to_string(), gap.to_string())),
        Fact::Shortfall { what, .. } => run(what.to_string()),
        Fact::Trouble { message } => run(format!("trouble: {message}")),
        Fact::FaultFailed { fault, why } => run(format!("trouble: fault `{fault}`: {why}")),
        Fact::Failed { message } => run(format!("failed: {message}")),
        Fact::Lost { count } => run(format!("{count} facts could not be recorded so far")),
        _ => None,
    }
}

const fn entered(phase: Phase) -> &'static str {
    match phase {
        Phase::SetUp => "set-up begins",
        Phase::SteadyState => "load begins; the steady state is being confirmed",
        Phase::Experiment => "time zero: the schedule begins",
        Phase::Recheck => "the schedule is done; the steady state is watched for its whole window",
        Phase::Settle => "the schedule is done; jobs finish, ledgers are read",
        Phase::TearDown => "tear-down begins",
    }
}

fn changed(change: &ServiceChange) -> String {
    match change {
        ServiceChange::Started(pid) => format!("started as process {pid}"),
        ServiceChange::Watched => "asked whether it is ready".to_owned(),
        ServiceChange::Ready => "ready".to_owned(),
        ServiceChange::Exited(how) => format!("ended: {how}"),
    }
}

/// Log lines by service and wording. What comes all the time would drown what matters.
#[derive(Default)]
struct Alike {
    /// In all, and shown so far.
    counts: BTreeMap<(String, String), (usize, usize)>,
    left_out: usize,
}

impl Alike {
    fn count(events: &[Event]) -> Self {
        let mut alike = Self::default();
        for event in events {
            if let Fact::Log { service, line, .. } = &event.fact {
                let key = (service.to_string(), wording(&words(line)));
                alike.counts.entry(key).or_default().0 += 1;
            }
        }
        alike
    }

    fn entry(&mut self, service: &str, line: &str) -> Option<(String, String)> {
        let words = words(line);
        let key = (service.to_string(), wording(&words));
        let (all, shown) = self.counts.get_mut(&key)?;
        let room = if *all > ROUTINE { 1 } else { MOST_ALIKE };
        if *shown == room {
            self.left_out += 1;
            return None;
        }
        *shown += 1;
        let more = *all - *shown;
        let last = *shown == room && more > 0;
        let text = if last {
            format!("{words} (and {more} more like it)")
        } else {
            words
        };
        Some((format!("{service} log"), text))
    }
}

/// Level and message of a line of JSON; another line as it is.
fn words(line: &str) -> String {
    let fields: Option<serde_json::Map<_, _>> = serde_json::from_str(line).ok();
    let said = fields.and_then(|fields| {
        let text = |keys: &[&str]| {
            let found = keys.iter().find_map(|key| fields.get(*key)?.as_str());
            found.map(str::to_owned)
        };
        let message = text(&["message", "msg"])?;
        Some(match text(&["level", "severity"]) {
            Some(level) => format!("{level}: {message}"),
            None => message,
        })
    });
    said.unwrap_or_else(|| line.to_owned())
}

/// The text without its numbers.
fn wording(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_ascii_digit() { '0' } else { letter })
        .collect::<String>()
        .split('0')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("0")
}

fn cut(text: String) -> String {
    match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Experiment;
    use crate::event::LogStream;

    fn logged(lines: impl IntoIterator<Item = String>) -> EventLog {
        let event = |(index, line)| Event {
            at: Moment::from_nanos(index as u64 * 1_000_000),
            fact: Fact::Log {
                service: "server".into(),
                stream: LogStream::Stderr,
                line,
                cut: false,
            },
        };
        let events = lines.into_iter().enumerate().map(event).collect();
        log(&History::new(Experiment::default(), events), Moment::ZERO)
    }

    #[test]
    fn routine_is_told_once_and_what_is_rare_stays_visible() {
        let routine =
            (0..1000).map(|n| format!("{{\"level\":\"info\",\"message\":\"took {n} ms\"}}"));
        let rare = (0..7).map(|n| format!("connection restored after {n} s"));
        let log = logged(routine.chain(rare));
        let texts: Vec<_> = log.entries.iter().map(|entry| &*entry.text).collect();
        assert_eq!(texts[0], "info: took 0 ms (and 999 more like it)");
        assert_eq!(
            texts[5],
            "connection restored after 4 s (and 2 more like it)"
        );
        assert_eq!((texts.len(), log.alike, log.left_out), (6, 1001, 0));
    }

    #[test]
    fn a_log_without_end_keeps_its_ends_and_says_how_much_is_gone() {
        let name = |n: usize| ["a", "b", "c", "d", "e", "f", "g", "h"][n % 8];
        let lines = (0..512).map(|n| format!("{}{}{}", name(n), name(n / 8), name(n / 64)));
        let log = logged(lines);
        assert_eq!((log.entries.len(), log.left_out), (MOST_LINES, 312));
        let ends = [0, MOST_LINES - 1].map(|index| log.entries[index].text.as_str());
        assert_eq!(ends, ["aaa", "hhh"]);
        let single = logged(["ö".repeat(4000)]);
        assert_eq!(single.entries[0].text.chars().count(), MOST_CHARS + 1);
    }
}
