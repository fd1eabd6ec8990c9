//! What is done outside the byte stream for one fault: one thing after the other, beside everything
//! that is done for others. A server may take seconds to end or to start, and nobody waits for it
//! but whoever asked.

use std::future::Future;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::Undo;

/// The operations for one fault, in the order in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct WorldTask {
    /// Whether the fault is in force once all of them are done.
    pub(super) in_force: bool,
    /// The occurrence that was injected last.
    pub(super) occurrence: u32,
    /// Cuts short what can be: everything is to be healed now.
    pub(super) hurry: CancellationToken,
    /// The last of them, which waits for those before it and knows how they are taken back.
    last: Option<JoinHandle<Undo>>,
}

impl WorldTask {
    /// Lets `operate` begin as soon as everything before it is done. It gets how to take that
    /// back, and returns how to take back what there is afterwards.
    pub(super) fn then<F>(&mut self, operate: impl FnOnce(Undo) -> F + Send + 'static)
    where
        F: Future<Output = Undo> + Send + 'static,
    {
        let before = self.last.take();
        self.last = Some(tokio::spawn(async move {
            let undo = match before {
                // A panic was already reported by its hook.
                Some(before) => before.await.unwrap_or(Undo::Nothing),
                None => Undo::Nothing,
            };
            operate(undo).await
        }));
    }

    /// Waits until all of them are done.
    pub(super) async fn ended(self) {
        if let Some(last) = self.last {
            drop(last.await);
        }
    }
}
