//! Mistakes that real servers make, one at a time.

/// A mistake that real servers make. Each changes a line or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Defect {
    /// No client-side deadline on connects, queries and heartbeats: a database that hangs is not
    /// noticed, because a hung server cannot report its own timeout.
    NoDeadline,
    /// `/health` asks the database during the request: it hangs when the database does.
    HealthWaits,
    /// `/health` believes its established connections: that no new one can be made does not count.
    HealthLies,
    /// No backoff: the next attempt follows a millisecond after the failed one.
    RetryStorm,
    /// The waits between attempts never grow.
    FixedInterval,
    /// Every slot of the pool dials by itself, all at the same moments: no jitter.
    SynchronisedHerd,
    /// After three failed attempts in a row no further one is made.
    GivesUp,
    /// The loop that reconnects is there, and nothing starts it after a loss.
    NeverReconnects,
    /// After the database is back, the pool waits three times the longest backoff.
    SlowRecovery,
    /// Connections are kept in a list that nothing is taken from: broken ones stay open.
    ConnectionLeak,
    /// After a loss the pool gets one connection and stays with it.
    SmallPool,
    /// The pool keeps one connection more than its maximum.
    OverMaximum,
    /// The process ends when the database is lost.
    ExitsOnLoss,
    /// workflow waits for codebase on every read, so it is as slow as codebase's database.
    SharedFate,
    /// workflow reads the work items of all projects one request at a time: one that waits for a
    /// lost database blocks all others.
    OneAtATime,
    /// Work items of a project whose database is away come from the registry.
    SilentFallback,
    /// Work items that cannot be read are answered as an empty list.
    EmptyAnswer,
    /// While codebase is away, workflow answers reads with status 200 and a JSON-RPC error.
    #[value(name = "error-with-200")]
    ErrorWith200,
    /// Writes of unknown fate are sent again although no unique index makes that harmless.
    DuplicateOnRetry,
    /// codebase answers 201 for a chunk that is in memory only, and dropped if the database is
    /// lost.
    LostAcknowledgedWrite,
    /// codebase answers that a chunk was not stored, and stores it when the database is back.
    ResurrectedWrite,
    /// The index job counts a batch as done although storing it failed.
    LostItems,
    /// The index job begins anew after an interruption, and deletes what it had stored.
    PartialProgressLost,
    /// The index job ends when storing fails, and says `running` for ever.
    StuckRunning,
    /// A server that cannot have its port says so in words for programmers, and exits with 0.
    WrongExit,
    /// Tables of another version are taken as they are.
    SchemaUnchecked,
    /// Every failed attempt of every request is logged.
    LogStorm,
}
