//! All index jobs of this server: each in a task, at a steady pace, paused while something it needs
//! is away, resumed from its checkpoint.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_postgres::Row;
use tokio_postgres::types::Type;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::embedder::Embedder;
use super::job::{self, Job, State, Status, StoreError};
use crate::demo::Defect;
use crate::demo::http::{Body, HttpError};
use crate::demo::log::{Level, Log};
use crate::demo::pool::{Failure, Operation, Pool};

const CREATE: Operation = Operation::new(
    "create index job",
    "INSERT INTO index_jobs (id, files_total) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
    &[Type::UUID, Type::INT4],
);

const UNFINISHED: Operation = Operation::new(
    "find unfinished index jobs",
    "SELECT id, files_done, files_total FROM index_jobs WHERE state <> 'completed'",
    &[],
);

const FIND: Operation = Operation::new(
    "find index job",
    "SELECT id, files_done, files_total FROM index_jobs WHERE id = $1",
    &[Type::UUID],
);

/// What a job that begins anew after an interruption does to its files.
const START_OVER: Operation = Operation::new(
    "start over",
    "WITH gone AS (DELETE FROM indexed_files WHERE job = $1)
     UPDATE index_jobs SET files_done = 0 WHERE id = $1",
    &[Type::UUID],
);

/// Pause before something that is away, other than the database, is asked again.
const PAUSE: Duration = Duration::from_secs(1);
/// Files of one job.
const MAX_FILES: u32 = 1_000_000;

/// What jobs work with.
#[derive(Debug)]
pub(super) struct Setup {
    pub(super) pool: Pool,
    pub(super) embedder: Embedder,
    pub(super) log: Log,
    /// Files per batch.
    pub(super) batch: u32,
    /// Time from one batch to the next.
    pub(super) pace: Duration,
    /// How a batch is stored.
    pub(super) store: Operation<'static>,
    /// A job that takes longer is warned of.
    pub(super) target: Duration,
    /// The mistake that the server was started with.
    pub(super) defect: Option<Defect>,
}

/// The jobs of this server. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    setup: Arc<Setup>,
    by_id: Arc<Mutex<HashMap<Uuid, Arc<Job>>>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

#[derive(Deserialize)]
pub(super) struct NewJob {
    files: u32,
}

/// `POST /index`.
pub(super) async fn create(
    Shared(jobs): Shared<Jobs>,
    Body(NewJob { files }): Body<NewJob>,
) -> Result<(StatusCode, Json<Value>), HttpError> {
    let total = i32::try_from(files).ok();
    let Some(total) = total.filter(|_| (1..=MAX_FILES).contains(&files)) else {
        let message = format!("`files` is a number from 1 to {MAX_FILES}");
        return Err(HttpError::bad_request(message));
    };
    let id = Uuid::new_v4();
    jobs.setup.pool.run(&CREATE, &[&id, &total]).await?;
    jobs.begin(Job::new(id, 0, files));
    let body = json!({ "id": id, "state": State::Running });
    Ok((StatusCode::ACCEPTED, Json(body)))
}

/// `GET /index/{id}`: a job of this process from memory, so that it answers while the database is
/// away; an older one from the database.
pub(super) async fn status(
    Shared(jobs): Shared<Jobs>,
    id: Result<Path<Uuid>, PathRejection>,
) -> Result<Json<Status>, HttpError> {
    let Path(id) = id?;
    let known = jobs.known().get(&id).map(|job| job.status());
    match known {
        Some(status) => Ok(Json(status)),
        None => jobs.find(id).await.map(Json),
    }
}

impl Jobs {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup: Arc::new(setup),
            by_id: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }
    }

    /// Takes up what an earlier process left unfinished, as soon as the database is there.
    pub(super) fn resume_unfinished(&self) {
        let jobs = self.clone();
        let work = async move {
            loop {
                jobs.setup.pool.available().await;
                match jobs.setup.pool.run(&UNFINISHED, &[]).await {
                    Ok(rows) => return rows.iter().for_each(|row| jobs.begin(read(row))),
                    Err(Failure::Refused { operation, source }) => {
                        let fields = json!({ "error": source.to_string() });
                        return jobs.setup.log.error(operation, fields);
                    }
                    Err(_) => {}
                }
            }
        };
        self.spawn(work);
    }

    /// Stops all jobs; their checkpoints are in the database.
    pub(super) async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn begin(&self, job: Job) {
        let id = job.status().id;
        let job = Arc::new(job);
        let mut known = self.known();
        if known.contains_key(&id) {
            return;
        }
        known.insert(id, Arc::clone(&job));
        drop(known);
        let setup = Arc::clone(&self.setup);
        self.spawn(async move { setup.work(&job).await });
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks
            .spawn(async move { stop.run_until_cancelled(work).await });
    }

    async fn find(&self, id: Uuid) -> Result<Status, HttpError> {
        let rows = self.setup.pool.run(&FIND, &[&id]).await?;
        let job = rows.first().map(read);
        let job = job.ok_or_else(|| HttpError::not_found(format!("there is no index job {id}")))?;
        let mut status = job.status();
        if status.files_done >= status.files_total {
            status.state = State::Completed;
        }
        Ok(status)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Uuid, Arc<Job>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Setup {
    async fn work(&self, job: &Job) {
        let begun = self.log.clock().now();
        let mut pace = interval(self.pace.max(Duration::from_millis(1)));
        // Lost time is not made up for: a database that has just come back is not flooded.
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while let Some(batch) = job.next_batch(self.batch) {
            pace.tick().await;
            if !self.store(job, batch).await {
                return;
            }
        }
        let status = job.status();
        let fields = json!({ "job": status.id, "files": status.files_total });
        self.log.info("index completed", fields);
        self.warn_if_late(status.id, self.log.clock().now().since(begun));
    }

    fn warn_if_late(&self, job: Uuid, took: Duration) {
        if took > self.target {
            let (actual, target) = (took.as_secs_f64(), self.target.as_secs_f64());
            let message = format!("index took {actual:.2} s, over its target of {target} s");
            let fields = json!({
                "job": job,
                "took_ms": took.as_millis(),
                "target_ms": self.target.as_millis(),
            });
            self.log
                .limited(Level::Warn, "index over target", &message, fields);
        }
    }

    /// Stores a batch, however long it takes; whether the job can go on.
    async fn store(&self, job: &Job, batch: Range<u32>) -> bool {
        let id = job.status().id;
        let mut paused = false;
        loop {
            let stored =
                job::store(&self.pool, &self.embedder, &self.store, id, batch.clone()).await;
            let error = match stored {
                Ok(()) => break,
                Err(_) if self.has(Defect::LostItems) => break,
                Err(_) if self.has(Defect::StuckRunning) => return false,
                Err(error) => error,
            };
            let fields =
                json!({ "job": id, "files_done": batch.start, "error": error.to_string() });
            if let StoreError::Database(Failure::Refused { .. }) = error {
                job.halt(State::Failed, error.to_string());
                self.log.error("index failed", fields);
                return false;
            }
            job.halt(State::Paused, error.to_string());
            if !paused {
                self.log.warn("index paused", fields);
                paused = true;
            }
            match error {
                StoreError::Database(Failure::Unavailable { .. }) => self.pool.available().await,
                StoreError::Database(_) | StoreError::Embeddings(_) => {
                    sleep(PAUSE).await;
                }
            }
            if self.has(Defect::PartialProgressLost)
                && self.pool.run(&START_OVER, &[&id]).await.is_ok()
            {
                job.advance(0);
                return true;
            }
        }
        job.advance(batch.end);
        if paused {
            let fields = json!({ "job": id, "files_done": batch.end });
            self.log.info("index resumed from its checkpoint", fields);
        }
        true
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

fn read(row: &Row) -> Job {
    let count = |column| u32::try_from(row.get::<_, i32>(column)).unwrap_or_default();
    Job::new(row.get(0), count(1), count(2))
}
