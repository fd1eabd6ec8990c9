use std::collections::BTreeMap;

use crate::check::{Experiment, FaultBrief};
use crate::event::{AskedBy, Edge, Event, Fact, Impact, Name, ServiceChange};
use crate::units::Moment;

/// One time that a fault was in force.
#[derive(Debug, Clone, PartialEq)]
pub struct Occurrence {
    /// Counts from 0.
    pub index: u32,
    /// When the schedule wanted it; of one that no schedule planned, when the engine took it up.
    pub planned: Moment,
    /// When the engine was told to inject it: nothing touched anybody before.
    pub inject: Moment,
    /// When it was in force everywhere, if that is known.
    pub in_force: Option<Moment>,
    /// When it was lifted; `None` if it never was. A fault that acts once is lifted at once.
    pub lift: Option<Moment>,
    /// Whom it touched, in order.
    pub hits: Vec<Hit>,
    /// When a side probe first came through after the lift.
    pub path_open: Option<Moment>,
}

/// A connection that was touched.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// When.
    pub at: Moment,
    /// Where.
    pub proxy: Name,
    /// The victim, if it ever was a connection.
    pub conn: Option<u64>,
    /// What it felt.
    pub impact: Impact,
}

pub(super) fn index(experiment: &Experiment, events: &[Event]) -> BTreeMap<Name, Vec<Occurrence>> {
    let mut faults = edges(events);
    for (name, occurrences) in &mut faults {
        occurrences.sort_by_key(|one| one.inject);
        let once = experiment
            .faults
            .iter()
            .any(|fault| fault.name == *name && fault.acts_once());
        for one in occurrences {
            one.lift = match one.lift {
                None if once => Some(one.inject),
                lift => lift.map(|lift| lift.max(one.inject)),
            };
        }
    }
    for event in events {
        match &event.fact {
            Fact::FaultHit {
                fault,
                proxy,
                conn,
                impact,
            } => {
                let hit = Hit {
                    at: event.at,
                    proxy: proxy.clone(),
                    conn: *conn,
                    impact: *impact,
                };
                if let Some(one) = nearest(faults.get_mut(fault), event.at) {
                    one.hits.push(hit);
                }
            }
            Fact::PathOpen { fault, .. } => {
                if let Some(one) = before(faults.get_mut(fault), event.at) {
                    one.path_open = one.path_open.max(Some(event.at));
                }
            }
            _ => {}
        }
    }
    for (name, occurrences) in &mut faults {
        let brief = experiment.faults.iter().find(|fault| fault.name == *name);
        for one in occurrences {
            if let (true, Some(brief)) = (one.hits.is_empty(), brief) {
                one.hits = starts(brief, one, events);
            }
            one.hits.sort_by_key(|hit| hit.at);
        }
    }
    faults
}

/// A service that is started while a fault acts on the service itself meets that fault, also if no
/// client of it can: one whose port is taken is not there to be asked.
fn starts(brief: &FaultBrief, one: &Occurrence, events: &[Event]) -> Vec<Hit> {
    let in_force = one.inject..one.lift.unwrap_or(Moment::MAX);
    let started = events.iter().filter_map(|event| match &event.fact {
        Fact::Service {
            service,
            change: ServiceChange::Started(_),
        } if in_force.contains(&event.at) => Some((event.at, service)),
        _ => None,
    });
    let targets = |service: &str| brief.proxy.split(", ").any(|target| target == service);
    let met = started.filter(|(_, service)| targets(service));
    met.map(|(at, service)| Hit {
        at,
        proxy: service.clone(),
        conn: None,
        impact: Impact::Refused,
    })
    .collect()
}

fn edges(events: &[Event]) -> BTreeMap<Name, Vec<Occurrence>> {
    let mut faults: BTreeMap<Name, Vec<Occurrence>> = BTreeMap::new();
    for event in events {
        let Fact::FaultEdge {
            fault,
            edge: Edge::Inject,
            occurrence,
            planned,
            decided,
            ..
        } = &event.fact
        else {
            continue;
        };
        faults.entry(fault.clone()).or_default().push(Occurrence {
            index: *occurrence,
            planned: planned.unwrap_or(*decided),
            inject: event.at,
            in_force: None,
            lift: None,
            hits: Vec::new(),
            path_open: None,
        });
    }
    for event in events {
        let (name, occurrence) = match &event.fact {
            Fact::FaultEdge {
                edge: Edge::Lift,
                planned: None,
                by: AskedBy::Schedule | AskedBy::Interrupt | AskedBy::Abort,
                ..
            } => {
                // The run ends with it: nothing is observed after it.
                continue;
            }
            Fact::FaultInForce { fault, occurrence }
            | Fact::FaultEdge {
                fault,
                edge: Edge::Lift,
                occurrence,
                ..
            } => (fault, occurrence),
            _ => continue,
        };
        let all = faults.get_mut(name).into_iter().flatten();
        for one in all.filter(|one| one.index == *occurrence) {
            match &event.fact {
                Fact::FaultInForce { .. } => one.in_force.get_or_insert(event.at),
                _ => one.lift.get_or_insert(event.at),
            };
        }
    }
    faults
}

/// The occurrence that holds `at`, or the nearest: threads stamp hits and edges independently, so
/// a hit may be stamped a moment outside the edges of its occurrence.
fn nearest(occurrences: Option<&mut Vec<Occurrence>>, at: Moment) -> Option<&mut Occurrence> {
    occurrences?.iter_mut().min_by_key(|one| {
        let early = one.inject.since(at);
        let late = one
            .lift
            .map_or_else(Default::default, |lift| at.since(lift));
        early.max(late)
    })
}

/// The last occurrence that was lifted before `at`.
fn before(occurrences: Option<&mut Vec<Occurrence>>, at: Moment) -> Option<&mut Occurrence> {
    occurrences?
        .iter_mut()
        .rfind(|one| one.lift.is_some_and(|lift| lift <= at))
}
