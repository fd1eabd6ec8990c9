//! Performs runs one after another, with the display beside them, and writes their reports.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::Signal::SIGHUP;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::live::Live;
use super::output::Printer;
use crate::event::Event;
use crate::report::{self, suite::Run};
use crate::run::{self, Halt, Options, Recording};
use crate::scenario::Plan;
use crate::sys::{folder as folders, process};
use crate::units::Clock;

/// How often the live display is drawn again.
const TICK: Duration = Duration::from_millis(200);

/// What all runs of a process share: control threads and the signals that end a run early.
pub struct Conductor {
    runtime: Runtime,
    signals: Signals,
    printer: Printer,
}

struct Signals {
    int: Signal,
    term: Signal,
    /// `None` where it is ignored: `nohup` wants us to go on.
    hup: Option<Signal>,
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let listen =
            |kind, name| signal(kind).with_context(|| format!("failed to listen for {name}"));
        let is_ignored = process::ignores(SIGHUP).context("failed to look at SIGHUP")?;
        let hup = (!is_ignored).then(|| listen(SignalKind::hangup(), "SIGHUP"));
        Ok(Self {
            int: listen(SignalKind::interrupt(), "SIGINT")?,
            term: listen(SignalKind::terminate(), "SIGTERM")?,
            hup: hup.transpose()?,
        })
    }

    /// The name of the next one. Cancel safe.
    async fn next(&mut self) -> &'static str {
        let hup = async {
            match &mut self.hup {
                Some(hup) => hup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.int.recv() => "SIGINT",
            _ = self.term.recv() => "SIGTERM",
            _ = hup => "SIGHUP",
        }
    }
}

impl Conductor {
    /// Starts the control threads. From now on a signal ends the run that is under way, or the
    /// next one.
    pub fn start(printer: Printer) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("control")
            .enable_all()
            .build()
            .context("cannot start the control threads")?;
        let signals = {
            let _entered = runtime.enter();
            Signals::listen()?
        };
        Ok(Self {
            runtime,
            signals,
            printer,
        })
    }

    /// Runs the plan, writes its reports into `folder`, which is made if it is not there, and
    /// prints the one for people.
    pub fn perform(&mut self, plan: Plan, folder: &Path) -> anyhow::Result<Run> {
        folders::make_private(folder).with_context(|| no_folder(folder))?;
        let options = Options {
            executable: std::env::current_exe().context("cannot find the running executable")?,
            directory: folder.to_owned(),
            clock: Clock::start(),
        };
        let recorded = record(Arc::new(plan), options, &mut self.signals, self.printer);
        let Recording { header, events } = self.runtime.block_on(recorded)?;
        let report = report::build(&header, &events)?;
        let scenario = header.scenario_text;
        let written = report::write(&report, &scenario, folder);
        // A full disk does not swallow the verdict.
        let page = folder.join(report::HTML_FILE);
        self.printer.data(&report::text(&report, &scenario, &page));
        written.context("the report could not be written")?;
        Ok(Run {
            report,
            scenario,
            folder: folder.to_owned(),
        })
    }
}

fn no_folder(folder: &Path) -> String {
    let folder = folder.display();
    format!("cannot make the report folder {folder} (`--report-dir` names another)")
}

/// Runs the plan while the display follows it.
async fn record(
    plan: Arc<Plan>,
    options: Options,
    signals: &mut Signals,
    printer: Printer,
) -> anyhow::Result<Recording> {
    let clock = options.clock;
    let halt = Halt::default();
    let (shown, mut events) = mpsc::unbounded_channel::<Vec<Event>>();
    let mut live = Live::new(printer, &plan);
    let mut tick = tokio::time::interval(TICK);
    // A task of its own, so that a panic in it is an error here, after its guards have healed.
    let mut running = tokio::spawn({
        let halt = halt.clone();
        async move {
            let watch = move |events: &[Event]| drop(shown.send(events.to_vec()));
            run::run(&plan, &options, halt, watch).await
        }
    });
    let finished = loop {
        tokio::select! {
            finished = &mut running => break finished,
            Some(events) = events.recv() => {
                for event in &events {
                    live.see(event);
                }
            }
            _ = tick.tick() => live.tick(clock.now()),
            signal = signals.next() => halt.interrupt(signal),
        }
    };
    while let Ok(events) = events.try_recv() {
        for event in &events {
            live.see(event);
        }
    }
    live.finish();
    Ok(finished.context("internal error")??)
}
