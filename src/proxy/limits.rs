//! Every bound of the data plane, in one place.

use std::time::Duration;

/// The buffer that all connections of a worker thread share. Its size is what bulk throughput
/// depends on most.
pub(super) const BUFFER_BYTES: usize = 512 * 1024;

/// Bytes that a connection may move before the others of its thread get their turn.
pub(super) const TURN_BYTES: usize = 4 * BUFFER_BYTES;

/// Connections accepted before those that its thread carries get their turn.
pub(super) const TURN_ACCEPTS: u64 = 8;

/// Pieces written with one call.
pub(super) const WRITE_PIECES: usize = 64;

/// How long a close waits for the peer's own end, so that unread input does not turn an orderly
/// end into a reset.
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// How long a peer may acknowledge nothing of the bytes that precede an end before they are given
/// up. A kernel reports new room only once a good part of its buffer is free, so that a slow reader
/// is silent for seconds.
pub(super) const DELIVERY: Duration = Duration::from_secs(10);

/// How often acknowledgements are looked for.
pub(super) const ACKNOWLEDGEMENTS: Duration = Duration::from_millis(10);

/// How long a change may take to reach every connection before it is reported as trouble.
pub(super) const CHANGE: Duration = Duration::from_secs(5);

/// How long the connections of a worker may take to end when it is stopped.
pub(super) const SHUTDOWN: Duration = Duration::from_secs(2);

/// Pauses after a failed accept, such as for want of descriptors: the first and the longest.
pub(super) const ACCEPT_PAUSE: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(1));

/// Descriptors kept for everything but proxied connections.
pub const OTHER_DESCRIPTORS: u64 = 200;

/// Descriptors that a connection takes.
pub const DESCRIPTORS_EACH: u64 = 2;

/// How many connections `descriptors` suffice for.
pub(super) const fn max_connections(descriptors: u64) -> u64 {
    descriptors.saturating_sub(OTHER_DESCRIPTORS) / DESCRIPTORS_EACH
}
