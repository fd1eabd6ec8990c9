//! The body of `/health`, computed from state that is kept in the background.

use std::time::Duration;

use axum::http::StatusCode;
use serde::Serialize;

use super::log::timestamp;
use super::pool::{Snapshot, State};
use crate::units::{Clock, Moment};

/// A ping at least this slow makes a server degraded.
const SLOW_PING: Duration = Duration::from_millis(50);
/// So does a pool of which at least this much is in use.
const BUSY_PERCENT: f64 = 80.0;

/// The answer to `GET /health`.
#[derive(Debug, Serialize)]
pub(super) struct HealthCheckResponse {
    status: Status,
    timestamp: String,
    database_status: DatabaseStatus,
    connection_pool: ConnectionPool,
    uptime_seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum DatabaseStatus {
    Connected,
    Degraded,
    Disconnected,
}

#[derive(Debug, Serialize)]
struct ConnectionPool {
    size: usize,
    min_size: usize,
    max_size: usize,
    free: usize,
    utilization_percent: f64,
}

impl HealthCheckResponse {
    pub(super) fn new(pool: &Snapshot, clock: Clock) -> Self {
        let (status, database_status) = classify(pool);
        Self {
            status,
            timestamp: timestamp(&clock),
            database_status,
            connection_pool: ConnectionPool {
                size: pool.size,
                min_size: pool.min,
                max_size: pool.max,
                free: pool.free,
                utilization_percent: pool.utilization_percent(),
            },
            uptime_seconds: clock.now().since(Moment::ZERO).as_secs_f64(),
        }
    }

    /// 503 if the database cannot be reached, otherwise 200.
    pub(super) const fn status_code(&self) -> StatusCode {
        match self.status {
            Status::Healthy | Status::Degraded => StatusCode::OK,
            Status::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

fn classify(pool: &Snapshot) -> (Status, DatabaseStatus) {
    let slow = pool.ping.is_some_and(|ping| ping >= SLOW_PING);
    match pool.state {
        State::Unavailable => (Status::Unhealthy, DatabaseStatus::Disconnected),
        State::Suspect => (Status::Degraded, DatabaseStatus::Degraded),
        State::Available if slow || pool.dial_failing => {
            (Status::Degraded, DatabaseStatus::Degraded)
        }
        State::Available if pool.utilization_percent() >= BUSY_PERCENT => {
            (Status::Degraded, DatabaseStatus::Connected)
        }
        State::Available => (Status::Healthy, DatabaseStatus::Connected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Snapshot {
        Snapshot {
            state: State::Available,
            size: 10,
            free: 5,
            min: 5,
            max: 20,
            waiting: 0,
            ping: Some(Duration::from_millis(1)),
            dial_failing: false,
        }
    }

    fn check(pool: &Snapshot, status: Status, database: DatabaseStatus, code: u16) {
        assert_eq!(classify(pool), (status, database));
        let response = HealthCheckResponse::new(pool, Clock::start());
        assert_eq!(response.status_code().as_u16(), code);
    }

    #[test]
    fn a_quick_ping_and_a_pool_with_room_are_healthy() {
        check(&pool(), Status::Healthy, DatabaseStatus::Connected, 200);
    }

    #[test]
    fn a_slow_ping_a_busy_pool_and_failing_dials_are_degraded_but_answer_200() {
        let mut slow = pool();
        slow.ping = Some(Duration::from_millis(50));
        check(&slow, Status::Degraded, DatabaseStatus::Degraded, 200);
        let mut busy = pool();
        (busy.size, busy.free) = (20, 4);
        check(&busy, Status::Degraded, DatabaseStatus::Connected, 200);
        let mut refused = pool();
        refused.dial_failing = true;
        check(&refused, Status::Degraded, DatabaseStatus::Degraded, 200);
    }

    #[test]
    fn an_unreachable_database_is_unhealthy_whatever_the_last_ping_said() {
        let mut lost = pool();
        lost.state = State::Unavailable;
        check(&lost, Status::Unhealthy, DatabaseStatus::Disconnected, 503);
    }
}
