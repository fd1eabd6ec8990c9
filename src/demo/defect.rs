//! Mistakes that real servers make, one at a time.

/// A mistake that real servers make. Each changes a line or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Defect {
    /// No client-side deadline on connects, queries and heartbeats: a database that hangs is not
    /// noticed, because a hung server cannot report its own timeout.
    NoDeadline,
    /// `/health` asks the database during the request: it hangs when the database does.
    HealthWaits,
    /// No backoff: the next attempt follows a millisecond after the failed one.
    RetryStorm,
    /// workflow waits for codebase on every read, so it is as slow as codebase's database.
    SharedFate,
    /// Writes of unknown fate are sent again although no unique index makes that harmless.
    DuplicateOnRetry,
    /// The index job counts a batch as done although storing it failed.
    LostItems,
}
