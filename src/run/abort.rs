use std::time::Duration;

use tokio::task::JoinHandle;

use super::board::Board;
use super::halt::{Halt, Halted};
use crate::event::Recorder;

/// How often the conditions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Watches the abort conditions and halts the run when one has held for its time.
pub(super) fn watch(board: Board, recorder: Recorder, halt: Halt) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            look.tick().await;
            if let Some(abort) = board.abort(recorder.clock().now()) {
                recorder.record(abort);
                halt.now(Halted::Aborted);
                return;
            }
        }
    })
}
