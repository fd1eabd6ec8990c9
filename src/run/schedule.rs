use std::time::Duration;

use super::halt::{Halt, Halted};
use super::provision::Stage;
use super::{RunError, path};
use crate::action::{Action, Injection};
use crate::event::{Edge, Fact, Phase};
use crate::scenario::{Plan, Step, timeline};
use crate::units::Moment;

/// Walks the timeline from time zero, which is now, to the end of the scenario's duration.
pub(super) async fn walk(
    plan: &Plan,
    stage: &mut Stage<'_>,
    halt: &Halt,
) -> Result<Result<(), Halted>, RunError> {
    let clock = stage.recorder().clock();
    let zero = clock.now();
    stage.recorder().record_at(
        zero,
        Fact::Phase {
            phase: Phase::Experiment,
        },
    );
    stage.start_jobs()?;
    for step in timeline(plan) {
        let planned = zero + step.at;
        if let Err(halted) = halt.unless(reach(stage, planned)).await {
            return Ok(Err(halted));
        }
        take(plan, stage, &step, planned).await?;
    }
    Ok(halt.unless(reach(stage, zero + plan.duration)).await)
}

/// Waits until `moment`.
async fn reach(stage: &Stage<'_>, moment: Moment) {
    let clock = stage.recorder().clock();
    tokio::time::sleep(moment.since(clock.now())).await;
    // tokio rounds up to the next millisecond of its own wheel; it never wakes early.
    debug_assert!(clock.now() >= moment.before(Duration::from_millis(1)));
}

/// Carries out one edge and records it.
async fn take(
    plan: &Plan,
    stage: &Stage<'_>,
    step: &Step,
    planned: Moment,
) -> Result<(), RunError> {
    let fault = &plan.faults[step.fault];
    let recorder = stage.recorder();
    let edge = Fact::FaultEdge {
        fault: fault.name.clone(),
        edge: step.edge,
        occurrence: step.occurrence,
        planned,
    };
    match step.edge {
        Edge::Inject => {
            recorder.record(edge);
            let injection = Injection {
                fault: fault.name.clone(),
                occurrence: step.occurrence,
                kind: fault.kind.clone(),
                params: fault.params.clone(),
                proxy: fault.target.clone(),
                scope: fault.scope.clone(),
            };
            stage.engine().apply(Action::Inject(injection)).await?;
        }
        Edge::Lift => {
            let lift = Action::Lift {
                fault: fault.name.clone(),
            };
            stage.engine().apply(lift).await?;
            recorder.record(edge);
            path::watch_until_open(stage, &fault.target, &fault.name);
        }
    }
    Ok(())
}
