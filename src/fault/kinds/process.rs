//! A server's process ends or stops, and comes back.

use serde::{Deserialize, Serialize};

use crate::fault::world::Halt;
use crate::fault::{Effects, FaultKind, Subject, WorldOp};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Process;

/// Parameters of a fault on processes.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is done: `kill` (SIGKILL), `terminate` (SIGTERM) or `stop` (SIGSTOP).
    #[schemars(example = &"stop")]
    pub action: Action,
}

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It ends at once, whatever it was doing.
    Kill,
    /// It is asked to end.
    Terminate,
    /// It stays where it is, its sockets open.
    Stop,
}

impl FaultKind for Process {
    const NAME: &'static str = "process";
    const SUMMARY: &'static str =
        "kills, terminates or stops the processes of services; lifted, they run again";
    const STORY: &'static str = "\
The services that the target names, all at once, with every process of their groups; only services \
that chaosproxy starts. `kill` ends them at once, `terminate` asks them to end. When the fault is \
lifted, a service that has ended is started again with the same command and environment, as a \
supervisor would; one that has not is waited for, and killed after 5 s. A `terminate` without a \
length is a restart. `stop` stops the processes where they are; they are continued when the fault is \
lifted, and on every way out of a run. Without a length the fault is lifted after 100 ms. Each \
process that was met is a hit; one that had ended before is none.

Clients of a killed service see resets and then refused connections; of a terminated one, what it \
says when it ends; of a stopped one, nothing: the kernel goes on accepting connections and \
acknowledging bytes. The databases and services that it used see its connections break, or fall \
silent.

It stands for a crash, the out-of-memory killer, a deployment, a supervisor, a frozen virtual \
machine, a long pause of a garbage collector.";
    const SUBJECT: Subject = Subject::Processes;
    type Params = Params;

    fn lasts(_params: &Params) -> bool {
        false
    }

    fn build(params: Params) -> Effects {
        let halt = match params.action {
            Action::Kill => Halt::Kill,
            Action::Terminate => Halt::Terminate,
            Action::Stop => Halt::Stop,
        };
        Effects {
            world: Some(WorldOp::Halt(halt)),
            ..Effects::default()
        }
    }
}
