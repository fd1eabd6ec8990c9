use std::collections::BTreeMap;

use super::{EdgeRecord, FaultRecord, OccurrenceRecord};
use crate::check::{FaultBrief, History, Occurrence};
use crate::event::{Edge, Fact};
use crate::units::Moment;

/// What each fault of the experiment did; seconds count from `origin`.
pub(super) fn records(history: &History, origin: Moment) -> Vec<FaultRecord> {
    let faults = history.experiment().faults.iter();
    faults.map(|fault| record(fault, history, origin)).collect()
}

fn record(brief: &FaultBrief, history: &History, origin: Moment) -> FaultRecord {
    let occurrences = history.fault(&brief.name);
    FaultRecord {
        name: brief.name.clone(),
        kind: brief.kind.clone(),
        params: brief.params.clone(),
        ramp: brief.ramp.clone(),
        proxy: brief.proxy.clone(),
        victims: occurrences.iter().map(|one| one.hits.len() as u64).sum(),
        occurrences: occurrences
            .iter()
            .map(|one| occurrence(brief, one, history, origin))
            .collect(),
    }
}

fn occurrence(
    brief: &FaultBrief,
    occurrence: &Occurrence,
    history: &History,
    origin: Moment,
) -> OccurrenceRecord {
    let mut victims = BTreeMap::new();
    for hit in &occurrence.hits {
        *victims.entry(hit.impact).or_default() += 1;
    }
    OccurrenceRecord {
        occurrence: occurrence.index,
        injected: edge_record(
            occurrence.planned,
            occurrence.inject,
            occurrence.in_force.unwrap_or(occurrence.inject),
            origin,
        ),
        lifted: lift(brief, occurrence.index, history)
            .map(|(planned, decided, actual)| edge_record(planned, decided, actual, origin)),
        victims,
    }
}

/// When an occurrence should have been lifted, when that was decided, and when it was done.
fn lift(brief: &FaultBrief, index: u32, history: &History) -> Option<(Moment, Moment, Moment)> {
    history.events().iter().find_map(|event| match &event.fact {
        Fact::FaultEdge {
            fault,
            edge: Edge::Lift,
            occurrence,
            planned,
            decided,
            ..
        } if *fault == brief.name && *occurrence == index => {
            Some((planned.unwrap_or(*decided), *decided, event.at))
        }
        _ => None,
    })
}

fn edge_record(planned: Moment, decided: Moment, actual: Moment, origin: Moment) -> EdgeRecord {
    EdgeRecord {
        planned_s: planned.seconds_from(origin),
        decided_s: decided.seconds_from(origin),
        actual_s: actual.seconds_from(origin),
        late_ms: actual.seconds_from(planned) * 1e3,
    }
}
