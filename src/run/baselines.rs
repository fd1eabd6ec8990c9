use std::collections::BTreeMap;
use std::path::Path;

use crate::event::{Fact, Name, Recorder};
use crate::scenario::{BaselineOrigin, Plan};

/// Records what checks compare with before anything else happens: whatever becomes of the files,
/// the run is judged by what they held when it began.
pub(super) fn record(plan: &Plan, machine: &BTreeMap<String, String>, recorder: &Recorder) {
    for spec in &plan.baselines {
        recorder.record(match &spec.origin {
            BaselineOrigin::File(path) => stored_baseline(&spec.check, path, machine),
            BaselineOrigin::Recorded(text) => Fact::StoredBaseline {
                check: spec.check.clone(),
                text: text.clone(),
                machine: machine.clone(),
            },
        });
    }
}

/// Reads the stored baseline of a check, for a run on `machine`.
pub fn stored_baseline(check: &Name, path: &Path, machine: &BTreeMap<String, String>) -> Fact {
    Fact::StoredBaseline {
        check: check.clone(),
        text: std::fs::read_to_string(path).map_err(|error| error.to_string()),
        machine: machine.clone(),
    }
}
