use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::JoinSet;

use super::halt::{Halt, Halted};
use super::path::Way;
use super::provision::Stage;
use super::{RunError, system};
use crate::action::{Action, Injection};
use crate::engine::{Pending, Reply};
use crate::event::{Fact, Phase, Recorder};
use crate::scenario::{FaultPlan, Plan, Progress, Start, Step, Turn, timeline};
use crate::sys::timer::TimerFd;
use crate::units::Moment;

/// Steps that the engine was asked for and has not answered yet: the schedule does not wait for
/// them.
#[derive(Default)]
pub(super) struct Awaited {
    tasks: JoinSet<Answered>,
    /// The last lift that was answered.
    lifted: Option<Moment>,
}

impl Awaited {
    /// Waits until `moment`; fails as soon as a step does.
    async fn until(&mut self, moment: Moment, timer: &Timer) -> Result<(), RunError> {
        while timer.set(moment)? {
            tokio::select! {
                biased;
                fired = timer.fd.fired() => fired.map_err(Timer::failed)?,
                Some(done) = self.tasks.join_next() => self.take(done)?,
            }
        }
        Ok(())
    }

    /// Waits until every step has been answered: when the last fault was lifted, if one was.
    pub(super) async fn finish(mut self) -> Result<Option<Moment>, RunError> {
        while let Some(done) = self.tasks.join_next().await {
            self.take(done)?;
        }
        Ok(self.lifted)
    }

    fn take(&mut self, done: Result<Answered, tokio::task::JoinError>) -> Result<(), RunError> {
        let lifted = done.map_err(|panic| RunError::Panicked(panic.to_string()))??;
        self.lifted = self.lifted.max(lifted);
        Ok(())
    }
}

/// What came of a step: since when a fault is gone, if it is.
type Answered = Result<Option<Moment>, RunError>;

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
            let due = Due {
                stage,
                fault,
                occurrence: 0,
                planned: stage.recorder().clock().now(),
            };
            due.inject().await?.await?;
        }
    }
    Ok(())
}

/// Asks the engine for one step.
async fn take(
    plan: &Plan,
    stage: &Stage<'_>,
    step: &Step,
    planned: Moment,
    awaited: &mut Awaited,
) -> Result<(), RunError> {
    let fault = &plan.faults[step.fault];
    let late = stage.recorder().clock().now().since(planned);
    tracing::debug!(fault = %fault.name, turn = ?step.turn, ?late, "step");
    let due = Due {
        stage,
        fault,
        occurrence: step.occurrence,
        planned,
    };
    let tasks = &mut awaited.tasks;
    match step.turn {
        // It is in force since the set-up.
        Turn::Inject if fault.start == Start::BeforeServices => return Ok(()),
        Turn::Inject => tasks.spawn(due.inject().await?),
        Turn::Move(to) => tasks.spawn(due.move_on(to).await?),
        Turn::Lift => tasks.spawn(due.lift().await?),
    };
    Ok(())
}

/// What is left to be done once the engine has answered.
type Rest = BoxFuture<'static, Answered>;

/// A fault at a step of the schedule.
struct Due<'a> {
    stage: &'a Stage<'a>,
    fault: &'a FaultPlan,
    occurrence: u32,
    planned: Moment,
}

impl Due<'_> {
    async fn inject(self) -> Result<Rest, RunError> {
        let inject = Action::Inject(Injection {
            fault: self.fault.name.clone(),
            occurrence: self.occurrence,
            kind: self.fault.kind.clone(),
            params: self.stage.fill_in(&self.fault.params)?,
            targets: self.fault.targets.clone(),
            scope: self.fault.scope.clone(),
        });
        let pending = self.ask(inject).await?;
        Ok(async move { pending.done().await.map(|_| None).map_err(Into::into) }.boxed())
    }

    async fn move_on(self, to: Progress) -> Result<Rest, RunError> {
        let mut params = self.fault.params.as_object().cloned().unwrap_or_default();
        params.extend(self.fault.ramp.at(to.share()));
        let change = Action::Reconfigure {
            fault: self.fault.name.clone(),
            params: self.stage.fill_in(&params.into())?,
            minor: !to.passes_a_tenth(),
        };
        let pending = self.ask(change).await?;
        Ok(async move { pending.done().await.map(|_| None).map_err(Into::into) }.boxed())
    }

    async fn lift(self) -> Result<Rest, RunError> {
        let recorder = self.stage.recorder().clone();
        let ways = self.fault.targets.iter();
        let ways: Vec<Way> = ways
            .map(|target| Way::to(self.stage, target, &self.fault.name))
            .collect();
        let lift = Action::Lift {
            fault: self.fault.name.clone(),
        };
        let pending = self.ask(lift).await?;
        let rest = async move {
            let gone = since(pending, &recorder).await?;
            ways.into_iter().for_each(Way::watch_until_open);
            Ok(Some(gone))
        };
        Ok(rest.boxed())
    }

    async fn ask(&self, action: Action) -> Result<Pending, RunError> {
        let order = action.planned(self.planned);
        Ok(self.stage.engine().submit(order).await?)
    }
}

/// Since when an action is in force everywhere.
async fn since(pending: Pending, recorder: &Recorder) -> Result<Moment, RunError> {
    Ok(match pending.done().await? {
        Reply::Done(since) => since,
        Reply::Listening(_) => recorder.clock().now(),
    })
}
