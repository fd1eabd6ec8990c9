//! The database server itself goes away.

use serde::{Deserialize, Serialize};

use crate::fault::world::Halt;
use crate::fault::{Effects, FaultKind, Subject, WorldOp};

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct PostgresServer;

/// Parameters of a fault on a database server.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How it is shut down: `fast` (sessions are told, work is rolled back) or `immediate` (as in a
    /// crash; the next start recovers). Default `fast`.
    #[serde(default)]
    pub how: How,
}

/// How a server is shut down.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Sessions are ended with a message, work is rolled back, all is written.
    #[default]
    Fast,
    /// Every process quits at once; the next start recovers from the log.
    Immediate,
}

impl FaultKind for PostgresServer {
    const NAME: &'static str = "postgres_server";
    const SUMMARY: &'static str = "shuts a PostgreSQL server down and starts it again";
    const STORY: &'static str = "\
The server of a `managed` database is shut down: `fast`, as `pg_ctl restart` does, or `immediate`, \
which is a crash without the loss of the machine. It is started again on the same port, with its \
data, when the fault is lifted; the lift is over once it accepts connections. Without a length it \
is a restart. With `at = \"before-start\"` the server comes late: services start without it. A \
server that was met is a hit.

Sessions see, with `fast`, the error 57P01 (\"terminating connection due to administrator command\"); \
with `immediate`, a warning at most, and the end of the connection; what had not been committed is \
lost in both. New connections are refused, \
and for a moment around the start turned away with 57P03 (\"the database system is starting up\"). \
Prepared statements, temporary tables, advisory locks and listeners are gone.

It stands for a minor upgrade, a restart for a setting, a crash with recovery, a failover that kept \
the address, a database that is started after its clients.";
    const SUBJECT: Subject = Subject::Servers;
    type Params = Params;

    fn lasts(_params: &Params) -> bool {
        false
    }

    fn severs(_params: &Params) -> bool {
        true
    }

    fn build(params: Params) -> Effects {
        let halt = match params.how {
            How::Fast => Halt::FastShutdown,
            How::Immediate => Halt::ImmediateShutdown,
        };
        Effects {
            world: Some(WorldOp::Halt(halt)),
            ..Effects::default()
        }
    }
}
