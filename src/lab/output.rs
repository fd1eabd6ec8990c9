//! Commands that are run for their output.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::guard::{Child, Exit};
use super::{Lab, LabError};
use crate::sys;
use crate::sys::process::kill_group;

/// Bytes of an output that are kept; the pipe is closed behind them.
const KEEP: u64 = 1 << 20;
/// How long the output is read after the command has ended: all that it wrote is there by then, and
/// a process that left its process group may hold the pipe for ever.
const DRAIN_LIMIT: Duration = Duration::from_millis(100);

/// Output of a command, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output, at most a mebibyte of it.
    pub stdout: String,
    /// Its error output, at most as much.
    pub stderr: String,
}

impl Lab {
    /// Runs a command to its end; `None` if that took longer than `deadline`. In either case the
    /// rest of its process group is killed.
    pub async fn output(
        &self,
        command: &[String],
        deadline: Duration,
    ) -> Result<Option<Output>, LabError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pipe = |stream| self.directory().join(format!("output.{number}.{stream}"));
        let (out, err) = (pipe("stdout"), pipe("stderr"));
        let output = self.run_for_output(command, deadline, &out, &err).await;
        for pipe in [out, err] {
            // The guard removes the whole directory in any case.
            std::fs::remove_file(pipe).ok();
        }
        output
    }

    async fn run_for_output(
        &self,
        command: &[String],
        deadline: Duration,
        out: &Path,
        err: &Path,
    ) -> Result<Option<Output>, LabError> {
        let piping = || LabError::io(format!("make a pipe for `{}`", command.join(" ")));
        let output = sys::fifo::create(out).map_err(piping())?;
        let errors = sys::fifo::create(err).map_err(piping())?;
        let mut launch = self.command(command, "");
        launch.stdout = out.to_owned();
        launch.stderr = err.to_owned();
        let child = self.guard.launch(launch).await?;
        let exit = async {
            let ended = tokio::time::timeout(deadline, child.ended()).await;
            if ended.is_err() {
                child.kill().await?;
                child.ended().await?;
            }
            // Processes that it left behind hold its outputs open.
            kill_group(child.pid());
            ended.ok().transpose()
        };
        let (exit, stdout, stderr) = tokio::join!(exit, text(output, &child), text(errors, &child));
        let Some(exit) = exit? else {
            return Ok(None);
        };
        Ok(Some(Output {
            exit,
            stdout,
            stderr,
        }))
    }
}

/// The beginning of what comes out of a pipe, until shortly after the end of `child`; one that cannot
/// be read has ended for us.
async fn text(pipe: impl AsyncRead + Unpin, child: &Child) -> String {
    let mut bytes = Vec::new();
    let mut pipe = pipe.take(KEEP);
    let over = async {
        child.ended().await.ok();
        tokio::time::sleep(DRAIN_LIMIT).await;
    };
    tokio::select! {
        _ = pipe.read_to_end(&mut bytes) => {}
        () = over => {}
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
