use std::time::Duration;

use super::halt::{Halt, Halted};
use super::provision::Stage;
use super::{RunError, path};
use crate::action::{Action, Injection};
use crate::event::{Edge, Fact, Phase};
use crate::scenario::{FaultPlan, Plan, Start, Step, timeline};
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

/// Injects what is to be in force when services start.
pub(super) async fn before_services(plan: &Plan, stage: &Stage<'_>) -> Result<(), RunError> {
    for fault in &plan.faults {
        if fault.start == Start::BeforeServices {
            inject(stage, fault, 0, stage.recorder().clock().now()).await?;
        }
    }
    Ok(())
}

/// Carries out one edge and records it.
async fn take(
    plan: &Plan,
    stage: &Stage<'_>,
    step: &Step,
    planned: Moment,
) -> Result<(), RunError> {
    let fault = &plan.faults[step.fault];
    match step.edge {
        // It is in force since the set-up.
        Edge::Inject if fault.start == Start::BeforeServices => Ok(()),
        Edge::Inject => inject(stage, fault, step.occurrence, planned).await,
        Edge::Lift => lift(stage, fault, step.occurrence, planned).await,
    }
}

async fn inject(
    stage: &Stage<'_>,
    fault: &FaultPlan,
    occurrence: u32,
    planned: Moment,
) -> Result<(), RunError> {
    stage
        .recorder()
        .record(edge(fault, Edge::Inject, occurrence, planned));
    let injection = Injection {
        fault: fault.name.clone(),
        occurrence,
        kind: fault.kind.clone(),
        params: stage.fill_in(&fault.params)?,
        targets: fault.targets.clone(),
        scope: fault.scope.clone(),
    };
    stage.engine().apply(Action::Inject(injection)).await?;
    Ok(())
}

async fn lift(
    stage: &Stage<'_>,
    fault: &FaultPlan,
    occurrence: u32,
    planned: Moment,
) -> Result<(), RunError> {
    let lift = Action::Lift {
        fault: fault.name.clone(),
    };
    stage.engine().apply(lift).await?;
    stage
        .recorder()
        .record(edge(fault, Edge::Lift, occurrence, planned));
    for target in &fault.targets {
        path::watch_until_open(stage, target, &fault.name);
    }
    Ok(())
}

fn edge(fault: &FaultPlan, edge: Edge, occurrence: u32, planned: Moment) -> Fact {
    Fact::FaultEdge {
        fault: fault.name.clone(),
        edge,
        occurrence,
        planned,
    }
}
