use std::future::Future;
use std::sync::Arc;

use tokio::sync::watch;

/// Why the run is to end early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Halted {
    /// This signal asked for it.
    Interrupted(&'static str),
    /// An abort condition held.
    Aborted,
    /// Facts can no longer be recorded.
    Unrecorded,
    /// The guard is gone, and with it everything that it had started.
    Unguarded,
}

/// The one switch that ends a run early. Clones share it; the first reason stays.
#[derive(Debug, Clone)]
pub struct Halt {
    state: Arc<watch::Sender<Option<Halted>>>,
}

impl Default for Halt {
    fn default() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(None)),
        }
    }
}

impl Halt {
    /// Asks the run to end.
    pub fn now(&self, reason: Halted) {
        self.state.send_if_modified(|state| {
            let first = state.is_none();
            state.get_or_insert(reason);
            first
        });
    }

    /// Asks the run to end because of a signal.
    pub fn interrupt(&self, signal: &'static str) {
        self.now(Halted::Interrupted(signal));
    }

    /// Waits until the run is to end. Cancel safe.
    pub async fn wait(&self) -> Halted {
        let mut state = self.state.subscribe();
        loop {
            if let Some(reason) = *state.borrow_and_update() {
                return reason;
            }
            // The sender lives in `self`, so that it cannot be gone.
            if state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The result of `work`, unless the run is to end first.
    pub async fn unless<T>(&self, work: impl Future<Output = T>) -> Result<T, Halted> {
        tokio::select! {
            biased;
            reason = self.wait() => Err(reason),
            result = work => Ok(result),
        }
    }

    /// Why the run is to end, if it is.
    pub fn reason(&self) -> Option<Halted> {
        *self.state.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_ends_the_work_and_stays() {
        let halt = Halt::default();
        assert_eq!(halt.unless(async { 7 }).await, Ok(7));
        halt.now(Halted::Aborted);
        halt.clone().interrupt("SIGINT");
        assert_eq!(
            halt.unless(std::future::pending::<()>()).await,
            Err(Halted::Aborted)
        );
        assert_eq!(halt.reason(), Some(Halted::Aborted));
    }
}
