use std::collections::BTreeSet;

use crate::check::metric::Terms;
use crate::event::{Answers, Condition, Fact, Gate, Phase, reasons};
use crate::scenario::Plan;
use crate::units::Moment;

use super::RunError;
use super::halt::Halt;
use super::provision::Stage;

/// Windows that are tried before the gate is closed: servers may need a moment to warm up. The
/// baseline begins with the last of them.
const TRIES: usize = 3;

/// Waits for the steady state, one window at a time. `false`: not met, or halted.
pub(super) async fn reached(plan: &Plan, stage: &Stage<'_>, halt: &Halt) -> bool {
    for _ in 0..TRIES {
        let recorder = stage.recorder();
        recorder.record(Fact::Phase {
            phase: Phase::SteadyState,
        });
        let window = tokio::time::sleep(plan.steady_state.window);
        if halt.unless(window).await.is_err() {
            return false;
        }
        if judge(plan, stage, Gate::Before) {
            return true;
        }
    }
    false
}

/// Records which proxies that faults act on no client has connected through so far: those faults
/// may meet nobody, and whoever watches can mend that at once.
pub(super) async fn tell_unused(plan: &Plan, stage: &Stage<'_>) -> Result<(), RunError> {
    let targets = plan.faults.iter().flat_map(|fault| &fault.targets);
    let proxies: BTreeSet<_> = targets.filter(|name| stage.proxy(name).is_some()).collect();
    for proxy in proxies {
        if stage.engine().stats(proxy.clone()).await?.accepted == 0 {
            stage.recorder().record(Fact::Trouble {
                message: format!(
                    "no client has connected through `{proxy}` up to the steady state; see that \
                     the service uses the address of the proxy"
                ),
            });
        }
    }
    Ok(())
}

/// Judges it once more after the schedule, whose last fault was lifted at `lifted`. Time under a fault
/// says nothing of it: the run goes on until a whole window has passed since. A halt is no error.
pub(super) async fn judge_again(
    plan: &Plan,
    stage: &Stage<'_>,
    halt: &Halt,
    lifted: Option<Moment>,
) {
    let recorder = stage.recorder();
    let whole = lifted.map(|lifted| lifted + plan.steady_state.window);
    let missing = whole.unwrap_or_default().since(recorder.clock().now());
    if !missing.is_zero() && !plan.steady_state.require.is_empty() {
        recorder.record(Fact::Phase {
            phase: Phase::Recheck,
        });
        if halt.unless(tokio::time::sleep(missing)).await.is_err() {
            return;
        }
    }
    judge(plan, stage, Gate::After);
}

/// Judges the last window and records it.
fn judge(plan: &Plan, stage: &Stage<'_>, gate: Gate) -> bool {
    let now = stage.recorder().clock().now();
    let from = now.before(plan.steady_state.window);
    let conditions: Vec<Condition> = plan
        .steady_state
        .require
        .iter()
        .map(|assertion| {
            let samples = stage.board().samples(&assertion.source, from, now);
            let terms = Terms {
                length: plan.steady_state.window,
                deadline: plan.experiment.deadline(&assertion.source),
                of: Answers::Good,
            };
            let measured = assertion.measure(&samples, terms, None);
            Condition {
                condition: assertion.to_string(),
                met: measured.holds() == Some(true),
                measured: measured.to_string(),
                reasons: reasons(&samples),
            }
        })
        .collect();
    let met = conditions.iter().all(|condition| condition.met);
    stage.recorder().record(Fact::SteadyState {
        gate,
        from,
        met,
        conditions,
    });
    met
}
