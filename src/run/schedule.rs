use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::halt::{Halt, Halted};
use super::path::Way;
use super::provision::Stage;
use super::{RunError, system};
use crate::action::{Action, Injection};
use crate::engine::{Pending, Reply};
use crate::event::{Edge, Fact, Phase, Recorder};
use crate::scenario::{FaultPlan, Plan, Progress, Start, Step, Turn, timeline};
use crate::sys::timer::TimerFd;
use crate::units::Moment;

/// Steps that the engine was told of and has not answered yet: the schedule does not wait for them.
/// Each records what came of it.
#[derive(Default)]
pub(super) struct Awaited(JoinSet<Result<(), RunError>>);

impl Awaited {
    /// Waits until `moment`; fails as soon as a step does.
    async fn until(&mut self, moment: Moment, timer: &Timer) -> Result<(), RunError> {
        while timer.set(moment)? {
            tokio::select! {
                biased;
                fired = timer.fd.fired() => fired.map_err(Timer::failed)?,
                Some(done) = self.0.join_next() => told(done)?,
            }
        }
        Ok(())
    }

    /// Waits until every step has been answered.
    pub(super) async fn finish(mut self) -> Result<(), RunError> {
        while let Some(done) = self.0.join_next().await {
            told(done)?;
        }
        Ok(())
    }
}

fn told(done: Result<Result<(), RunError>, tokio::task::JoinError>) -> Result<(), RunError> {
    done.map_err(|panic| RunError::Panicked(panic.to_string()))?
}

/// The schedule's own timer: a runtime's would be a millisecond late.
struct Timer {
    fd: TimerFd,
    recorder: Recorder,
}

impl Timer {
    fn new(recorder: &Recorder) -> Result<Self, RunError> {
        Ok(Self {
            fd: TimerFd::new().map_err(Self::failed)?,
            recorder: recorder.clone(),
        })
    }

    /// Sets it to fire at `moment`; `false` if that has come already.
    fn set(&self, moment: Moment) -> Result<bool, RunError> {
        let left = moment.since(self.recorder.clock().now());
        if left.is_zero() {
            return Ok(false);
        }
        self.fd.set(left).map_err(Self::failed)?;
        Ok(true)
    }

    fn failed(source: std::io::Error) -> RunError {
        system("set the timer of the schedule", source)
    }
}

/// Walks the timeline from time zero, which is now, to the end of the scenario's duration. What the
/// engine has not answered by then is left in `awaited`.
pub(super) async fn walk(
    plan: &Plan,
    stage: &mut Stage<'_>,
    halt: &Halt,
    awaited: &mut Awaited,
) -> Result<Result<(), Halted>, RunError> {
    let timer = Timer::new(stage.recorder())?;
    let zero = stage.recorder().clock().now();
    stage.recorder().record_at(
        zero,
        Fact::Phase {
            phase: Phase::Experiment,
        },
    );
    stage.start_jobs()?;
    for step in timeline(plan) {
        let planned = zero + step.at;
        match halt.unless(awaited.until(planned, &timer)).await {
            Ok(reached) => reached?,
            Err(halted) => return Ok(Err(halted)),
        }
        take(plan, stage, &step, planned, awaited).await?;
    }
    let end = zero + plan.duration;
    match halt.unless(awaited.until(end, &timer)).await {
        Ok(reached) => reached.map(Ok),
        Err(halted) => Ok(Err(halted)),
    }
}

/// Injects what is to be in force when services start, and waits for it.
pub(super) async fn before_services(plan: &Plan, stage: &Stage<'_>) -> Result<(), RunError> {
    for fault in &plan.faults {
        if fault.start == Start::BeforeServices {
            let now = stage.recorder().clock().now();
            inject(stage, fault, 0, now).await?.await?;
        }
    }
    Ok(())
}

/// Tells the engine of one step.
async fn take(
    plan: &Plan,
    stage: &Stage<'_>,
    step: &Step,
    planned: Moment,
    awaited: &mut Awaited,
) -> Result<(), RunError> {
    let (fault, occurrence) = (&plan.faults[step.fault], step.occurrence);
    let tasks = &mut awaited.0;
    match step.turn {
        // It is in force since the set-up.
        Turn::Inject if fault.start == Start::BeforeServices => return Ok(()),
        Turn::Inject => tasks.spawn(inject(stage, fault, occurrence, planned).await?),
        Turn::Move(to) => tasks.spawn(move_on(stage, fault, (occurrence, to), planned).await?),
        Turn::Lift => tasks.spawn(lift(stage, fault, occurrence, planned).await?),
    };
    Ok(())
}

/// What is left to be done once the engine has answered.
type Rest = BoxFuture<'static, Result<(), RunError>>;

async fn inject(
    stage: &Stage<'_>,
    fault: &FaultPlan,
    occurrence: u32,
    planned: Moment,
) -> Result<Rest, RunError> {
    let recorder = stage.recorder().clone();
    let decided = recorder.clock().now();
    let edge = edge(fault, Edge::Inject, occurrence, (planned, decided));
    recorder.record_at(decided, edge);
    let injection = Injection {
        fault: fault.name.clone(),
        occurrence,
        kind: fault.kind.clone(),
        params: stage.fill_in(&fault.params)?,
        targets: fault.targets.clone(),
        scope: fault.scope.clone(),
    };
    let in_force = Fact::FaultInForce {
        fault: fault.name.clone(),
        occurrence,
    };
    let pending = stage.engine().submit(Action::Inject(injection)).await?;
    let rest = async move {
        recorder.record_at(since(pending, &recorder).await?, in_force);
        Ok(())
    };
    Ok(rest.boxed())
}

async fn move_on(
    stage: &Stage<'_>,
    fault: &FaultPlan,
    (occurrence, progress): (u32, Progress),
    planned: Moment,
) -> Result<Rest, RunError> {
    let recorder = stage.recorder().clone();
    let values = fault.ramp.at(progress.share());
    let mut params = fault.params.as_object().cloned().unwrap_or_default();
    params.extend(values.clone());
    let change = Action::Reconfigure {
        fault: fault.name.clone(),
        params: stage.fill_in(&params.into())?,
    };
    let moved = Fact::FaultMoved {
        fault: fault.name.clone(),
        occurrence,
        values,
        planned,
    };
    let pending = stage.engine().submit(change).await?;
    let rest = async move {
        let since = since(pending, &recorder).await?;
        if progress.passes_a_tenth() {
            recorder.record_at(since, moved);
        }
        Ok(())
    };
    Ok(rest.boxed())
}

async fn lift(
    stage: &Stage<'_>,
    fault: &FaultPlan,
    occurrence: u32,
    planned: Moment,
) -> Result<Rest, RunError> {
    let recorder = stage.recorder().clone();
    let decided = recorder.clock().now();
    let edge = edge(fault, Edge::Lift, occurrence, (planned, decided));
    let ways = fault.targets.iter();
    let ways: Vec<Way> = ways
        .map(|target| Way::to(stage, target, &fault.name))
        .collect();
    let lift = Action::Lift {
        fault: fault.name.clone(),
    };
    let pending = stage.engine().submit(lift).await?;
    let rest = async move {
        recorder.record_at(since(pending, &recorder).await?, edge);
        ways.into_iter().for_each(Way::watch_until_open);
        Ok(())
    };
    Ok(rest.boxed())
}

/// Since when an action is in force everywhere.
async fn since(pending: Pending, recorder: &Recorder) -> Result<Moment, RunError> {
    Ok(match pending.done().await? {
        Reply::Done(since) => since,
        Reply::Listening(_) => recorder.clock().now(),
    })
}

fn edge(
    fault: &FaultPlan,
    edge: Edge,
    occurrence: u32,
    (planned, decided): (Moment, Moment),
) -> Fact {
    Fact::FaultEdge {
        fault: fault.name.clone(),
        edge,
        occurrence,
        planned,
        decided,
    }
}
