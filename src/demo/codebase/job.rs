//! One index job: where it is, and how a batch of it is stored.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::embedder::{self, Embedder};
use super::repository;
use crate::demo::pool::{Failure, Operation, Pool};

/// Stores a batch of files and the checkpoint behind it in one statement: both are done or neither.
/// Doing it again changes nothing, and a late repetition does not move the checkpoint back.
pub(super) const STORE: Operation = Operation::new(
    "store batch",
    "WITH stored AS (
       INSERT INTO indexed_files (job, file, checksum, content, embedding)
       SELECT $1, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
       ON CONFLICT (file) DO UPDATE SET job = excluded.job, checksum = excluded.checksum,
         content = excluded.content, embedding = excluded.embedding
     )
     UPDATE index_jobs SET files_done = greatest(files_done, $2),
       state = CASE WHEN greatest(files_done, $2) >= files_total THEN 'completed' ELSE state END
     WHERE id = $1",
    TYPES,
);

/// Stores a batch of files and the checkpoint behind it; doing it again stores the files again.
pub(super) const STORE_AGAIN: Operation = Operation {
    sql: "WITH stored AS (
       INSERT INTO indexed_files (job, file, checksum, content, embedding)
       SELECT $1, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
     )
     UPDATE index_jobs SET files_done = greatest(files_done, $2),
       state = CASE WHEN greatest(files_done, $2) >= files_total THEN 'completed' ELSE state END
     WHERE id = $1",
    ..STORE
};

const TYPES: &[Type] = &[
    Type::UUID,
    Type::INT4,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::BYTEA_ARRAY,
];

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Running,
    /// Something that it needs is away; it goes on by itself.
    Paused,
    Completed,
    /// The database refused what it stores; it goes on when the server is started again.
    Failed,
}

/// Why a batch is not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum StoreError {
    #[error(transparent)]
    Database(#[from] Failure),
    #[error(transparent)]
    Embeddings(#[from] embedder::Error),
}

/// A job as `GET /index/{id}` shows it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Status {
    pub(super) id: Uuid,
    pub(super) state: State,
    pub(super) files_done: u32,
    pub(super) files_total: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
}

/// An index job.
#[derive(Debug)]
pub(super) struct Job {
    status: Mutex<Status>,
}

impl Job {
    pub(super) fn new(id: Uuid, files_done: u32, files_total: u32) -> Self {
        let status = Status {
            id,
            state: State::Running,
            files_done,
            files_total,
            reason: None,
        };
        Self {
            status: Mutex::new(status),
        }
    }

    pub(super) fn status(&self) -> Status {
        self.lock().clone()
    }

    /// The files to be stored next; `None` if all are.
    pub(super) fn next_batch(&self, size: u32) -> Option<Range<u32>> {
        let status = self.lock();
        let end = status
            .files_total
            .min(status.files_done.saturating_add(size));
        (status.files_done < end).then_some(status.files_done..end)
    }

    /// All files before `end` are stored.
    pub(super) fn advance(&self, end: u32) {
        let mut status = self.lock();
        status.files_done = end;
        status.reason = None;
        status.state = if end >= status.files_total {
            State::Completed
        } else {
            State::Running
        };
    }

    /// It cannot go on, for `reason`.
    pub(super) fn halt(&self, state: State, reason: String) {
        let mut status = self.lock();
        status.state = state;
        status.reason = Some(reason);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores the files of `batch`, with `operation`.
pub(super) async fn store(
    pool: &Pool,
    embedder: &Embedder,
    operation: &Operation<'_>,
    job: Uuid,
    batch: Range<u32>,
) -> Result<(), StoreError> {
    let done = i32::try_from(batch.end).unwrap_or(i32::MAX);
    let files: Vec<_> = batch.map(repository::file).collect();
    let texts: Vec<&str> = files.iter().map(|file| file.content.as_str()).collect();
    let embeddings: Vec<Vec<u8>> = embedder
        .embed(&texts)
        .await?
        .iter()
        .map(|vector| vector.iter().flat_map(|x| x.to_le_bytes()).collect())
        .collect();
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    let checksums: Vec<&str> = files.iter().map(|file| file.checksum.as_str()).collect();
    pool.run(
        operation,
        &[&job, &done, &paths, &checksums, &texts, &embeddings],
    )
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_completed_by_its_last_batch_and_not_before() {
        let job = Job::new(Uuid::nil(), 0, 120);
        assert_eq!(job.next_batch(50), Some(0..50));
        job.advance(50);
        job.halt(State::Paused, "away".into());
        assert_eq!(job.next_batch(50), Some(50..100));
        job.advance(100);
        assert_eq!(job.status().state, State::Running);
        assert_eq!(job.next_batch(50), Some(100..120));
        job.advance(120);
        assert_eq!(job.status().state, State::Completed);
        assert_eq!(job.next_batch(50), None);
    }
}
