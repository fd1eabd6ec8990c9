//! Where the evidence of a run ends before its schedule does.

use super::History;
use crate::event::Fact;
use crate::units::Moment;

impl History {
    /// When a run was interrupted, aborted or cut off: what it had not come to by then is not known.
    /// `None` if it went on to its end.
    pub fn ended_early(&self) -> Option<Moment> {
        let mut events = self.events().iter();
        let early = events.find(|event| {
            matches!(
                event.fact,
                Fact::Interrupted { .. } | Fact::Abort { .. } | Fact::Failed { .. }
            )
        });
        let last = || self.events().iter().map(|event| event.at).max();
        early
            .map(|event| event.at)
            .or_else(|| self.truncated.then(last).flatten())
    }
}
