//! A port is held by somebody else.

use serde::{Deserialize, Serialize};

use crate::fault::world::Grip;
use crate::fault::{Effects, FaultKind, Subject, WorldOp};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct PortSeizure;

/// Parameters of a port seizure.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// What clients meet there: `bound` (refused), `silent` (accepted, no word), `close` (accepted,
    /// closed at once), `foreign` (accepted, greeted as by an SSH server). Default `silent`.
    #[serde(default)]
    pub mode: Grip,
}

impl FaultKind for PortSeizure {
    const NAME: &'static str = "port_seizure";
    const SUMMARY: &'static str = "holds the port of a service or a proxy, as a stranger would";
    const STORY: &'static str = "\
The port of the target is taken: of a service, so that it cannot listen there; of a proxy, so that \
its clients reach a stranger in the place of their server. A service that is running keeps its port; \
the seizure then waits until it is free, and takes it faster than a server can be started. So: with \
`at = \"before-start\"` a service meets the conflict at its first start; beside a `process` fault \
that begins with it or later, the race at a restart is lost. The proxy's own connections are ended. \
Each client that knocks is a hit; with `bound` the kernel refuses them, and counting them needs \
CAP_NET_RAW. chaosproxy itself does not ask there whether the service is ready, until the port is \
given back.

A server that starts finds \"address already in use\". Clients find, with `bound`, \"connection \
refused\"; with `silent`, nothing at all, so that only a deadline helps; with `close`, the end of \
the stream; with `foreign`, an answer that is none in their protocol.

It stands for a second instance of a server, a port number used twice, a process that did not end \
before its successor started.";
    const SUBJECT: Subject = Subject::Ports;
    type Params = Params;

    fn build(params: Params) -> Effects {
        Effects {
            world: Some(WorldOp::Seize(params.mode)),
            ..Effects::default()
        }
    }
}
