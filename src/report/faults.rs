use std::collections::BTreeMap;

use super::{EdgeRecord, FaultRecord, OccurrenceRecord};
use crate::check::{Experiment, FaultBrief};
use crate::event::{Edge, Event, Fact};
use crate::units::Moment;

/// What each fault of the experiment did; seconds count from `origin`.
pub(super) fn records(
    experiment: &Experiment,
    events: &[Event],
    origin: Moment,
) -> Vec<FaultRecord> {
    experiment
        .faults
        .iter()
        .map(|fault| record(fault, events, origin))
        .collect()
}

fn record(brief: &FaultBrief, events: &[Event], origin: Moment) -> FaultRecord {
    let mut occurrences: BTreeMap<u32, OccurrenceRecord> = BTreeMap::new();
    let mut current = 0;
    for event in events {
        match &event.fact {
            Fact::FaultEdge {
                fault,
                edge,
                occurrence,
                planned,
            } if *fault == brief.name => {
                let record = at(&mut occurrences, *occurrence);
                let moments = Some(edge_record(*planned, event.at, origin));
                match edge {
                    Edge::Inject => {
                        current = *occurrence;
                        record.injected = moments;
                    }
                    Edge::Lift => record.lifted = moments,
                }
            }
            Fact::FaultHit { fault, impact, .. } if *fault == brief.name => {
                let victims = &mut at(&mut occurrences, current).victims;
                *victims.entry(*impact).or_default() += 1;
            }
            _ => {}
        }
    }
    let occurrences: Vec<_> = occurrences.into_values().collect();
    FaultRecord {
        name: brief.name.clone(),
        kind: brief.kind.clone(),
        params: brief.params.clone(),
        proxy: brief.proxy.clone(),
        victims: occurrences
            .iter()
            .flat_map(|one| one.victims.values())
            .sum(),
        occurrences,
    }
}

fn at(occurrences: &mut BTreeMap<u32, OccurrenceRecord>, occurrence: u32) -> &mut OccurrenceRecord {
    occurrences
        .entry(occurrence)
        .or_insert_with(|| OccurrenceRecord {
            occurrence,
            injected: None,
            lifted: None,
            victims: BTreeMap::new(),
        })
}

fn edge_record(planned: Moment, actual: Moment, origin: Moment) -> EdgeRecord {
    EdgeRecord {
        planned_s: planned.seconds_from(origin),
        actual_s: actual.seconds_from(origin),
        late_ms: actual.seconds_from(planned) * 1e3,
    }
}
