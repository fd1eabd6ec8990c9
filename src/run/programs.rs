use std::sync::Arc;
use std::time::Duration;

use crate::lab::Lab;
use crate::lab::guard::Exit;
use crate::probe::{Programs, Ran, Running};

/// Runs the commands of probes in the lab, so that the guard knows of them.
#[derive(Debug)]
pub struct LabPrograms(pub Arc<Lab>);

impl Programs for LabPrograms {
    fn run<'a>(&'a self, command: &'a [String], deadline: Duration) -> Running<'a> {
        Box::pin(async move {
            let output = self.0.output(command, deadline).await;
            let output = output.map_err(|error| error.to_string())?;
            Ok(output.map(|output| Ran {
                exit: match output.exit {
                    Exit::Code(code) => Ok(code),
                    signal @ Exit::Signal(_) => Err(signal.to_string()),
                },
                stdout: output.stdout,
                stderr: output.stderr,
            }))
        })
    }
}
