use std::time::Duration;

use super::Look;
use crate::event::Outcome;
use crate::own;

/// Opens a connection and closes it again: whether anybody listens, and no more.
#[derive(Debug)]
pub(super) struct Tcp {
    /// `host:port`.
    pub(super) address: String,
}

impl Look for Tcp {
    async fn look(&self, deadline: Duration) -> Outcome {
        match tokio::time::timeout(deadline, own::connect_to(&self.address)).await {
            Ok(Ok(_)) => Outcome::Ok { status: None },
            Ok(Err(error)) => Outcome::ConnectError {
                why: error.to_string(),
            },
            Err(_) => Outcome::Timeout,
        }
    }
}
