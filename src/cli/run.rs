//! `chaosproxy run`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::input::{self, BAD_INPUT};
use super::live::Live;
use super::output::Printer;
use crate::event::Event;
use crate::report;
use crate::run::{self, Halt, Options, Recording};
use crate::scenario::Plan;
use crate::units::Clock;

/// How often the live display is drawn again.
const TICK: Duration = Duration::from_millis(200);
/// Something that should not happen; everything was healed.
const INTERNAL: u8 = 70;

/// Arguments of `chaosproxy run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The scenario file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Where the journal and the reports go; made if it is not there.
    /// Default: a new folder below `chaosproxy-runs`.
    #[arg(long, value_name = "DIR")]
    report_dir: Option<PathBuf>,
    /// Use this seed instead of the scenario's.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// Runs the command.
pub fn main(args: &Args, printer: Printer) -> ExitCode {
    let Some((_, mut plan)) = input::plan(&args.file, "nothing was run", printer) else {
        return ExitCode::from(BAD_INPUT);
    };
    plan.seed = args.seed.unwrap_or(plan.seed);
    match perform(plan, args.report_dir.as_deref(), printer) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            printer.error(&format!("error: {error:#}"));
            ExitCode::from(INTERNAL)
        }
    }
}

/// Runs the plan and reports; gives the exit code.
fn perform(plan: Plan, directory: Option<&Path>, printer: Printer) -> anyhow::Result<u8> {
    let clock = Clock::start();
    let directory = match directory.or(plan.report_dir.as_deref()) {
        Some(directory) => directory.to_owned(),
        None => default_directory(&plan, clock),
    };
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot make the report folder {}", directory.display()))?;
    let options = Options {
        executable: std::env::current_exe().context("cannot find the running executable")?,
        directory: directory.clone(),
        clock,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .context("cannot start the control threads")?;
    let recording = runtime.block_on(record(Arc::new(plan), options, printer))?;
    let report = report::build(&recording.header, &recording.events)?;
    let scenario = &recording.header.scenario_text;
    report::write(&report, scenario, &directory)?;
    printer.data(&report::text(&report, scenario, &directory));
    Ok(report.exit_code)
}

/// Runs the plan while the display follows it.
async fn record(plan: Arc<Plan>, options: Options, printer: Printer) -> anyhow::Result<Recording> {
    let clock = options.clock;
    let halt = Halt::default();
    let (shown, mut events) = mpsc::unbounded_channel::<Event>();
    let mut live = Live::new(printer, &plan.experiment, plan.duration);
    let mut sigint = signal(SignalKind::interrupt()).context("failed to listen for SIGINT")?;
    let mut sigterm = signal(SignalKind::terminate()).context("failed to listen for SIGTERM")?;
    let mut tick = tokio::time::interval(TICK);
    // A task of its own, so that a panic in it is an error here, after its guards have healed.
    let mut running = tokio::spawn({
        let halt = halt.clone();
        async move {
            let watch = move |event: &Event| drop(shown.send(event.clone()));
            run::run(&plan, &options, halt, watch).await
        }
    });
    let finished = loop {
        tokio::select! {
            finished = &mut running => break finished,
            Some(event) = events.recv() => live.see(&event),
            _ = tick.tick() => live.tick(clock.now()),
            _ = sigint.recv() => halt.interrupt("SIGINT"),
            _ = sigterm.recv() => halt.interrupt("SIGTERM"),
        }
    };
    while let Ok(event) = events.try_recv() {
        live.see(&event);
    }
    live.finish();
    Ok(finished.context("internal error")??)
}

/// `chaosproxy-runs/<scenario>-<UTC time>`.
fn default_directory(plan: &Plan, clock: Clock) -> PathBuf {
    let stem = Path::new(&plan.path)
        .file_stem()
        .map_or_else(|| "scenario".into(), |stem| stem.to_string_lossy());
    let now = clock.started_at().strftime("%Y%m%dT%H%M%SZ");
    Path::new("chaosproxy-runs").join(format!("{stem}-{now}"))
}
