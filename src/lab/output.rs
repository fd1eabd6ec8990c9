//! Commands that are run for what they say.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::guard::Exit;
use super::{Lab, LabError};
use crate::sys;

/// Bytes of an output that are kept; what says more is ended by its closed pipe.
const KEEP: u64 = 1 << 20;

/// What a command said, and how it ended.
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
    /// Runs a command to its end, and until nobody writes to its outputs any more; `None` if that
    /// took longer than `deadline`, and its process group was killed.
    pub async fn output(
        &self,
        command: &[String],
        deadline: Duration,
    ) -> Result<Option<Output>, LabError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let pipe = |stream| self.directory().join(format!("output.{number}.{stream}"));
        let (out, err) = (pipe("stdout"), pipe("stderr"));
        let said = self.said(command, deadline, &out, &err).await;
        for pipe in [out, err] {
            // The guard removes the whole directory in any case.
            std::fs::remove_file(pipe).ok();
        }
        said
    }

    async fn said(
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
        let all = async { tokio::join!(text(output), text(errors), child.ended()) };
        let Ok((stdout, stderr, exit)) = tokio::time::timeout(deadline, all).await else {
            child.kill().await?;
            child.ended().await?;
            return Ok(None);
        };
        Ok(Some(Output {
            exit: exit?,
            stdout,
            stderr,
        }))
    }
}

/// The beginning of what comes out of a pipe; one that cannot be read has ended for us.
async fn text(pipe: impl AsyncRead + Unpin) -> String {
    let mut bytes = Vec::new();
    pipe.take(KEEP).read_to_end(&mut bytes).await.ok();
    String::from_utf8_lossy(&bytes).into_owned()
}
