//! A server's process ends or stops, and comes back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fault::world::Halt;
use crate::fault::{Effects, FaultKind, Subject, WorldOp};
use crate::units::Period;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct Process;

/// Parameters of a fault on processes.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What is done: `kill` (SIGKILL), `terminate` (SIGTERM), `stop` (SIGSTOP) or `restart`
    /// (SIGTERM, and started again).
    #[schemars(example = &"stop")]
    pub action: Action,
    /// `restart` only: how long after it was asked to end it is started again; as soon as it has
    /// ended, if that takes longer. Default `0s`.
    #[serde(default)]
    pub down_for: Period,
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
    /// It is asked to end, and started again.
    Restart,
}

/// A restart takes at least as long, so that its end does not come before its beginning.
const SHORTEST: Duration = Duration::from_millis(1);

impl FaultKind for Process {
    const NAME: &'static str = "process";
    const SUMMARY: &'static str = "kills, terminates, stops or restarts the processes of services";
    const STORY: &'static str = "\
The services that the target names, all at once, with every process of their groups; only services \
that chaosproxy starts. `kill` ends them at once, `terminate` asks them to end. When the fault is \
lifted, a service that has ended is started again with the same command and environment, as a \
supervisor would; one that has not is waited for, and killed after 5 s. `restart` is a `terminate` \
that needs no length: each service is started again after `down_for`, or once it has ended. `stop` stops the processes where they are; they are continued when the fault is \
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

    fn validate(params: &Params) -> Result<(), (&'static str, String)> {
        if !params.down_for.is_zero() && params.action != Action::Restart {
            let message =
                "only a restart has a time to be down; write `for`, or `action = \"restart\"`";
            return Err(("down_for", message.to_owned()));
        }
        Ok(())
    }

    fn length(params: &Params) -> Option<Duration> {
        let down = params.down_for.get();
        (params.action == Action::Restart).then(|| down.max(SHORTEST))
    }

    fn build(params: Params) -> Effects {
        let halt = match params.action {
            Action::Kill => Halt::Kill,
            Action::Terminate | Action::Restart => Halt::Terminate,
            Action::Stop => Halt::Stop,
        };
        Effects {
            world: Some(WorldOp::Halt(halt)),
            ..Effects::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fault::kind;
    use crate::units::Period;

    #[test]
    fn only_a_restart_says_itself_how_long_it_lasts() {
        let process = kind("process").unwrap();
        let length = |params| (process.length)(&params).map(Period);
        let restart = |down: &str| json!({ "action": "restart", "down_for": down });
        assert_eq!(length(restart("2s")), Some(Period::from_secs(2)));
        assert_eq!(length(restart("0s")), Some(Period::from_millis(1)));
        assert_eq!(
            length(json!({ "action": "restart" })),
            length(restart("0s"))
        );
        assert_eq!(length(json!({ "action": "terminate" })), None);
        let strange = json!({ "action": "stop", "down_for": "2s" });
        let error = (process.build)(&strange).unwrap_err().to_string();
        assert!(error.starts_with("only a restart"), "{error}");
    }
}
