//! So many bytes and no more.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::event::Impact;
use crate::fault::{Cx, Effects, Fault, FaultKind, How, Outlet, Payload, Segment};
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
        Effects {
            stream: Some(Arc::new(move || {
                Box::new(Quota {
                    left: [params.bytes.0; 2],
                    how: params.how,
                    over: [false; 2],
                })
            })),
            ..Effects::default()
        }
    }
}

struct Quota {
    /// Bytes that may still pass, per way.
    left: [u64; 2],
    how: How,
    /// The end was sent, per way.
    over: [bool; 2],
}

impl Fault for Quota {
    fn on_segment(&mut self, cx: &mut Cx<'_>, segment: Segment, out: &mut dyn Outlet) {
        let way = cx.direction as usize;
        if self.over[way] {
            return out.hold(segment);
        }
        let Payload::Data(mut data) = segment.payload else {
            return out.pass(segment);
        };
        let passing = usize::try_from(self.left[way])
            .unwrap_or(usize::MAX)
            .min(data.len());
        self.left[way] -= passing as u64;
        if passing > 0 {
            let payload = Payload::Data(data.split_to(passing));
            out.pass(Segment { payload, ..segment });
        }
        if self.left[way] == 0 {
            self.over[way] = true;
            out.hit(Impact::Closed);
            let payload = Payload::End(self.how);
            out.pass(Segment { payload, ..segment });
        }
    }
}
