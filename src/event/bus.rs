use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use super::{Event, Fact};
use crate::units::{Clock, Moment};

/// Facts that may wait for the run's loop at once; about a minute of a busy scenario.
const QUEUE_LIMIT: usize = 65_536;

/// Hands facts to the run. Cheap to clone, never waits.
#[derive(Debug, Clone)]
pub struct Recorder {
    clock: Clock,
    queue: mpsc::Sender<Event>,
    lost: Arc<AtomicU64>,
}

/// The reading end: every recorded fact, in the order in which it was queued.
#[derive(Debug)]
pub struct Stream {
    clock: Clock,
    queue: mpsc::Receiver<Event>,
    lost: Arc<AtomicU64>,
    reported: u64,
}

/// A recorder and the stream that it feeds.
pub fn bus(clock: Clock) -> (Recorder, Stream) {
    let (sender, receiver) = mpsc::channel(QUEUE_LIMIT);
    let lost = Arc::new(AtomicU64::new(0));
    let recorder = Recorder {
        clock,
        queue: sender,
        lost: Arc::clone(&lost),
    };
    let stream = Stream {
        clock,
        queue: receiver,
        lost,
        reported: 0,
    };
    (recorder, stream)
}

impl Recorder {
    /// The clock that stamps.
    pub const fn clock(&self) -> Clock {
        self.clock
    }

    /// Records `fact` at the present moment.
    pub fn record(&self, fact: Fact) {
        self.record_at(self.clock.now(), fact);
    }

    /// Records `fact` at a moment that was read earlier.
    ///
    /// A fact that does not fit into the queue is counted, and the count is reported as
    /// [`Fact::Lost`]: the thread that records must never wait.
    pub fn record_at(&self, at: Moment, fact: Fact) {
        match self.queue.try_send(Event { at, fact }) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl Stream {
    /// The next fact; `None` once every recorder is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        if let Some(report) = self.lost_since_last_report() {
            return Some(report);
        }
        self.queue.recv().await
    }

    /// The next fact that is already there. Does not wait.
    pub fn try_next(&mut self) -> Option<Event> {
        self.lost_since_last_report()
            .or_else(|| self.queue.try_recv().ok())
    }

    fn lost_since_last_report(&mut self) -> Option<Event> {
        let count = self.lost.load(Ordering::Relaxed);
        (count > self.reported).then(|| {
            self.reported = count;
            Event {
                at: self.clock.now(),
                fact: Fact::Lost { count },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn facts_come_out_in_order_and_overflow_is_reported_not_waited_for() {
        let (recorder, mut stream) = bus(Clock::start());
        for _ in 0..QUEUE_LIMIT + 3 {
            recorder.record(Fact::HealedAll);
        }
        assert!(matches!(
            stream.try_next().map(|event| event.fact),
            Some(Fact::Lost { count: 3 })
        ));
        let mut seen = 0;
        while stream.try_next().is_some() {
            seen += 1;
        }
        assert_eq!(seen, QUEUE_LIMIT);
        drop(recorder);
        assert!(stream.next().await.is_none());
    }
}
