use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::bindings::Bindings;
use super::board::Board;
use super::halt::Halt;
use super::{RunError, abort};
use crate::event::Recorder;
use crate::load::spec::{LedgerSpec, WorkloadSpec};
use crate::probe::Programs;
use crate::probe::spec::ProbeSpec;
use crate::{load, probe};

/// Workloads and probes, on a thread of their own so that neither the data plane nor the journal
/// can delay an arrival.
pub(super) struct Clients {
    /// Taken on drop: a runtime must not be dropped where it could block.
    runtime: Option<Runtime>,
    /// Ends arrivals and probes.
    stop: CancellationToken,
    /// Ends jobs that are still polled.
    give_up: CancellationToken,
    requests: Vec<JoinHandle<()>>,
    jobs: Vec<JoinHandle<()>>,
    aborts: Option<JoinHandle<()>>,
}

impl Clients {
    pub(super) fn new() -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("clients")
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            stop: CancellationToken::new(),
            give_up: CancellationToken::new(),
            requests: Vec::new(),
            jobs: Vec::new(),
            aborts: None,
        })
    }

    /// Starts a probe.
    pub(super) fn probe(
        &mut self,
        spec: &ProbeSpec,
        bindings: &Bindings,
        programs: &Arc<dyn Programs>,
        seed: u64,
        recorder: &Recorder,
    ) -> Result<(), RunError> {
        let _entered = self.runtime().enter();
        let lookup = |name: &str| bindings.get(name);
        let (recorder, stop) = (recorder.clone(), self.stop.clone());
        let started = probe::start(spec, lookup, programs, seed, recorder, stop)?;
        self.requests.extend(started);
        Ok(())
    }

    /// Starts a workload.
    pub(super) fn workload(
        &mut self,
        spec: &WorkloadSpec,
        ledger: Option<&LedgerSpec>,
        url: &str,
        seed: u64,
        recorder: &Recorder,
    ) -> Result<(), RunError> {
        let is_job = spec.kind.is_job();
        let stop = if is_job { &self.give_up } else { &self.stop };
        let _entered = self.runtime().enter();
        let started = load::start(spec, ledger, url, seed, recorder.clone(), stop.clone())?;
        if is_job {
            self.jobs.push(started);
        } else {
            self.requests.push(started);
        }
        Ok(())
    }

    /// Watches the abort conditions from now on.
    pub(super) fn watch_aborts(&mut self, board: &Board, recorder: &Recorder, halt: &Halt) {
        let watch = abort::watch(board.clone(), recorder.clone(), halt.clone());
        self.aborts = Some(watch);
    }

    /// Ends arrivals and probes and waits for what is in flight; then waits for jobs, at most
    /// `patience` or until the run is halted.
    pub(super) async fn settle(&mut self, patience: Duration, halt: &Halt) {
        if let Some(aborts) = self.aborts.take() {
            aborts.abort();
        }
        self.stop.cancel();
        finish(&mut self.requests).await;
        let jobs = tokio::time::timeout(patience, finish(&mut self.jobs));
        let waited = halt.unless(jobs).await;
        self.give_up.cancel();
        if !matches!(waited, Ok(Ok(()))) {
            finish(&mut self.jobs).await;
        }
    }

    /// Ends everything at once.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.give_up.cancel();
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("taken only on drop")
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Waits for every task; one that panicked has recorded no more, which its samples show.
async fn finish(tasks: &mut Vec<JoinHandle<()>>) {
    while let Some(task) = tasks.last_mut() {
        task.await.ok();
        tasks.pop();
    }
}
