//! So many bytes and no more.

use serde::{Deserialize, Serialize};

use crate::fault::ending::{End, Ending, UntilThen, When};
use crate::fault::{Effects, FaultKind, How};
use crate::units::Size;

/// See [`FaultKind::STORY`].
#[derive(Debug)]
pub struct LimitData;

/// Parameters of a limit of data.
#[derive(Debug, Clone, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// Bytes that pass, counted for each connection and way on its own, from the injection or from
    /// the opening of a connection that is opened later; `0B` ends a connection with the first
    /// byte.
    pub bytes: Size,
    /// How the connection is ended. Default `fin`.
    #[serde(default)]
    pub how: How,
}

impl FaultKind for LimitData {
    const NAME: &'static str = "limit_data";
    const SUMMARY: &'static str = "ends a connection after an exact number of bytes";
    const STORY: &'static str = "\
On the wire, exactly `bytes` bytes pass in each way in scope; behind the last of them the \
connection is ended toward both its sides, with FIN or with RST. A receiver that reads slowly gets \
all of them first; one whose system acknowledges nothing for 10 s does not get the rest.

An application gets a truncated message and then the end of the stream. It must not take the part \
for the whole: an answer without its last bytes, a row without its columns, a dump without its end.

It stands for a server that crashes while it writes, a proxy with a limit on bodies, a transfer \
that breaks at the same place each time.";
    type Params = Params;

    fn build(params: Params) -> Effects {
        let ending = Ending {
            when: When::Carried(params.bytes.0),
            until_then: UntilThen::Pass,
            how: End::Whole(params.how),
        };
        ending.effects()
    }
}
