//! One experiment, from set-up to a journal that can be judged.
//!
//! The conductor stands up what the plan names, confirms the steady state, walks the timeline and
//! takes everything down again. It decides nothing about verdicts: it records facts. Whatever
//! happens, every fault is lifted before anything else is done.

mod abort;
mod baselines;
mod bindings;
mod board;
mod clients;
mod collector;
mod descriptors;
mod halt;
mod machine;
mod path;
mod programs;
mod provision;
mod pulse;
mod read_back;
mod schedule;
mod steady_state;
mod traffic;

pub use baselines::stored_baseline;
pub use halt::{Halt, Halted};
pub use programs::LabPrograms;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::pin;

use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use crate::engine::EngineError;
use crate::event::{
    AskedBy, Event, Fact, Header, JOURNAL_FORMAT, JournalError, JournalWriter, Phase, Recorder, bus,
};
use crate::lab::LabError;
use crate::load::LoadError;
use crate::probe::ProbeError;
use crate::probe::log::LogProbe;
use crate::scenario::Plan;
use crate::template::UnknownName;
use crate::units::Clock;

use board::Board;
use collector::Collector;
use provision::Stage;
use schedule::Awaited;

/// What a run needs besides its plan.
#[derive(Debug)]
pub struct Options {
    /// The running executable: it starts the guard and what a scenario calls `chaosproxy`.
    pub executable: PathBuf,
    /// The folder that the journal and logs are written to; it must exist.
    pub directory: PathBuf,
    /// The clock that every event is stamped by.
    pub clock: Clock,
}

/// A finished run: what a report is built from.
#[derive(Debug)]
pub struct Recording {
    /// The journal's header.
    pub header: Header,
    /// Every event, in the order of recording.
    pub events: Vec<Event>,
}

/// Why a run could not be carried through. Everything was healed and taken down.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A database or service could not be stood up.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A proxy or fault could not be put in force.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The journal could not be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A workload could not be started.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A probe could not be started.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// A placeholder could not be filled in.
    #[error(transparent)]
    Template(#[from] UnknownName),
    /// The operating system refused something that every run needs.
    #[error("failed to {what}: {source}")]
    System {
        /// What was wanted.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// There are too few descriptors; nothing was started.
    #[error(
        "chaosproxy may open {limit} files at once, this scenario takes at least {needed}; raise the \
         hard limit, for example with `ulimit -n {needed}` or `LimitNOFILE={needed}` of a systemd unit"
    )]
    Descriptors {
        /// How many files this process may open at once.
        limit: u64,
        /// How many it needs.
        needed: u64,
    },
    /// Somebody ended the guard.
    #[error(
        "the guard process ended during the run; everything that it had started is gone with it"
    )]
    Unguarded,
    /// A task of the run itself panicked.
    #[error("internal error: {0}")]
    Panicked(String),
}

/// Carries out `plan`.
///
/// `watch` sees every event soon after it was recorded, several at a time. `halt` ends the run
/// early. An experiment that could not be set up is still a recording if the journal could be
/// opened: it then ends with the reason as [`Fact::Trouble`] or, once faults may have been
/// injected, as [`Fact::Failed`].
pub async fn run(
    plan: &Plan,
    options: &Options,
    halt: Halt,
    watch: impl FnMut(&[Event]) + Send + 'static,
) -> Result<Recording, RunError> {
    descriptors::suffice(plan)?;
    let header = header(plan, options.clock);
    let journal = JournalWriter::create(&options.directory.join("journal.jsonl"), &header)?;
    let (recorder, stream) = bus(options.clock);
    let board = Board::new(plan);
    let log_probes = log_probes(plan)?;
    let collector = Collector::start(
        stream,
        (journal, plan.secrets.clone()),
        log_probes,
        board.clone(),
        halt.clone(),
        watch,
    );

    baselines::record(plan, &header.environment, &recorder);
    let conducted = conduct(plan, options, &recorder, &board, &halt);
    let outcome = telling(&halt, &recorder, conducted).await;
    if let Err(error) = outcome {
        recorder.record(Fact::Failed {
            message: chain(&error),
        });
    }
    let events = collector.finish().await?;
    Ok(Recording { header, events })
}

/// Does `work`. What interrupts it is recorded at once, before anything is done about it.
async fn telling<T>(halt: &Halt, recorder: &Recorder, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    let done = tokio::select! {
        biased;
        _ = halt.wait() => None,
        result = &mut work => Some(result),
    };
    if let Some(Halted::Interrupted(signal)) = halt.reason() {
        recorder.record(Fact::Interrupted {
            signal: signal.to_owned(),
        });
    }
    match done {
        Some(result) => result,
        None => work.await,
    }
}

/// Everything between the opened journal and its last line.
async fn conduct(
    plan: &Plan,
    options: &Options,
    recorder: &Recorder,
    board: &Board,
    halt: &Halt,
) -> Result<(), RunError> {
    recorder.record(phase(Phase::SetUp));
    let watches = [machine::watch, pulse::watch].map(|watch| watch(recorder.clone()));
    let mut stage = Stage::prepare(plan, options, recorder, board).await?;
    let guard = stage.watch_guard(halt);
    let performed = perform(plan, &mut stage, halt).await;
    guard.abort();
    // Healing comes first on every way out; it is idempotent.
    let healed = stage.heal(asked_by(halt, performed.is_err())).await;
    recorder.record(phase(Phase::TearDown));
    let struck = stage.strike().await;
    watches.iter().for_each(JoinHandle::abort);
    match halt.reason() {
        Some(Halted::Unguarded) => Err(RunError::Unguarded),
        _ => performed.and(healed).and(struck),
    }
}

/// Sets up, gates, breaks, settles. A halt is no error: it is recorded by whoever asked for it.
async fn perform(plan: &Plan, stage: &mut Stage<'_>, halt: &Halt) -> Result<(), RunError> {
    match halt.unless(set_up(plan, stage, halt)).await {
        Ok(set_up) => set_up?,
        Err(_halted) => return Ok(()),
    }
    if !steady_state::reached(plan, stage, halt).await {
        return Ok(());
    }
    steady_state::tell_unused(plan, stage).await?;
    let mut awaited = Awaited::default();
    let completed = schedule::walk(plan, stage, halt, &mut awaited).await?;
    stage.heal(asked_by(halt, false)).await?;
    let lifted = awaited.finish().await?;
    if completed.is_ok() {
        steady_state::judge_again(plan, stage, halt, lifted).await;
    }
    stage.recorder().record(phase(Phase::Settle));
    stage.settle(plan.settle, halt).await;
    // Somebody who interrupts wants to leave; after an abort the evidence is still wanted.
    if !matches!(halt.reason(), Some(Halted::Interrupted(_))) {
        read_back::record(plan, stage).await;
    }
    Ok(())
}

/// Who ends the faults that are still in force.
fn asked_by(halt: &Halt, failed: bool) -> AskedBy {
    match halt.reason() {
        Some(Halted::Interrupted(_)) => AskedBy::Interrupt,
        Some(Halted::Aborted | Halted::Unrecorded | Halted::Unguarded) => AskedBy::Abort,
        None if failed => AskedBy::Abort,
        None => AskedBy::Schedule,
    }
}

/// Stands everything up. What is to go wrong when services start, does so before they do.
async fn set_up(plan: &Plan, stage: &mut Stage<'_>, halt: &Halt) -> Result<(), RunError> {
    stage.open_paths().await?;
    schedule::before_services(plan, stage).await?;
    stage.start(halt).await
}

fn log_probes(plan: &Plan) -> Result<Vec<LogProbe>, ProbeError> {
    let mut found = Vec::new();
    for spec in &plan.probes {
        let probe = LogProbe::new(spec).map_err(|problem| ProbeError {
            probe: spec.name.clone(),
            problem,
        })?;
        found.extend(probe);
    }
    Ok(found)
}

const fn phase(phase: Phase) -> Fact {
    Fact::Phase { phase }
}

const fn system(what: &'static str, source: std::io::Error) -> RunError {
    RunError::System { what, source }
}

/// An error with all its causes in one line. Those that it tells itself are not told twice.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let told = cause.to_string();
        if !text.ends_with(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        source = cause.source();
    }
    text
}

fn header(plan: &Plan, clock: Clock) -> Header {
    let mut experiment = serde_json::to_value(&plan.experiment)
        .expect("an experiment has string keys and finite numbers");
    plan.secrets.mask_all(&mut experiment);
    Header {
        journal_format: JOURNAL_FORMAT,
        chaosproxy: env!("CARGO_PKG_VERSION").to_owned(),
        run: uuid::Uuid::new_v4(),
        started_at: clock.started_at(),
        scenario_path: plan.path.clone(),
        scenario_text: plan.secrets.mask(&plan.text).into_owned(),
        scenario_sha256: sha256(&plan.text),
        seed: plan.seed,
        plan: experiment,
        environment: environment(),
    }
}

/// SHA-256 of a scenario's text, in hexadecimal, as a journal's header holds it.
pub fn sha256(text: &str) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

/// What a figure depends on: machine, kernel, cores.
fn environment() -> BTreeMap<String, String> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = std::fs::read_to_string(Path::new("/proc/sys/kernel/osrelease"));
    let processors = std::fs::read_to_string(Path::new("/proc/cpuinfo")).unwrap_or_default();
    let model = processors
        .lines()
        .find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(':'));
    BTreeMap::from([
        (
            "cpu".to_owned(),
            model
                .map_or("unknown", |(_, model)| model.trim())
                .to_owned(),
        ),
        ("os".to_owned(), std::env::consts::OS.to_owned()),
        ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
        ("cores".to_owned(), cores.to_string()),
        (
            "kernel".to_owned(),
            kernel.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned()),
        ),
    ])
}
