//! Any command, and the one that takes it back.

use serde::{Deserialize, Serialize};

use crate::fault::world::CommandLine;
use crate::fault::{Effects, FaultKind, Subject, WorldOp};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Command;

/// Parameters of a command.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The program and its arguments; placeholders are filled in as in the command of a service.
    #[schemars(example = ["true"])]
    pub run: Vec<String>,
    /// The program and its arguments that take it back. Must bear to be run twice, and before `run`
    /// has ended. Default: nothing.
    #[serde(default)]
    pub undo: Vec<String>,
    /// How long each of the two may take. Default `10s`.
    #[serde(default = "ten_seconds")]
    pub timeout: Period,
}

const fn ten_seconds() -> Period {
    Period::from_secs(10)
}

impl FaultKind for Command {
    const NAME: &'static str = "command";
    const SUMMARY: &'static str = "runs a command, and another to undo it";
    const STORY: &'static str = "\
`run` is carried out when the fault begins, and is in force once it has ended with exit code 0: that \
is its hit. If it fails, that is reported, and the fault counts as not exercised. `undo` is carried \
out when the fault is lifted, whether `run` succeeded or not, and by the guard process when the run \
itself is killed. A `run` that is not done when the schedule ends, or when somebody interrupts it, is \
ended. What both say is kept in the report's folder, in `logs`. Without a length, `undo` \
follows after 100 ms.

What an application sees is the command's business.

It stands for what chaosproxy has no kind for: a rule of a packet filter, a full disk, a revoked \
privilege, a lock held by a session, a clock that jumps.";
    const SUBJECT: Subject = Subject::Elsewhere;
    type Params = Params;

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if params.run.is_empty() {
            return Err(("run", "names no program".to_owned()));
        }
        if params.timeout.is_zero() {
            return Err(("timeout", "expected a time above zero".to_owned()));
        }
        Ok(())
    }

    fn lasts(_params: &Params) -> bool {
        false
    }

    fn build(params: Params) -> Effects {
        let line = CommandLine {
            run: params.run,
            undo: params.undo,
            timeout: params.timeout.get(),
        };
        Effects {
            world: Some(WorldOp::Run(line)),
            ..Effects::default()
        }
    }
}
