//! What a scenario stands up: the guard, throwaway PostgreSQL clusters, supervised services.
//!
//! Everything is started by the [`guard`] process, so that nothing outlives a run, however the run
//! ends. This module must never start anything that lasts by another way, and must never change a
//! database or a service that was there before.

mod error;
mod follow;
mod form;
pub mod guard;
pub mod knock;
mod lines;
mod log;
mod operations;
mod output;
pub mod port;
pub mod postgres;
mod ready;
mod service;
pub mod spec;
mod tail;

pub use error::{LabError, LogTail};
pub use output::Output;
pub use postgres::Database;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::future::join_all;

use crate::event::{Fact, Name, Recorder};
use guard::Guard;
use knock::Ports;
use postgres::{Clusters, Places, Server};
use service::{Context, Service};
use spec::{DatabaseSpec, Origin, ServiceSpec};

/// Everything that one run stood up. Dropping it makes the guard clean up in the background;
/// [`Lab::shutdown`] waits for that and makes sure.
#[derive(Debug)]
pub struct Lab {
    guard: Guard,
    recorder: Recorder,
    exe: PathBuf,
    logs: PathBuf,
    clusters: Clusters,
    ports: Ports,
    databases: Mutex<BTreeMap<Name, Database>>,
    servers: Mutex<BTreeMap<Name, Arc<Server>>>,
    services: Mutex<BTreeMap<Name, Arc<Service>>>,
}

impl Lab {
    /// Starts the guard from `exe`, the program itself. Logs of services are kept in
    /// `report_dir/logs`.
    pub async fn start(
        exe: &Path,
        recorder: Recorder,
        report_dir: &Path,
    ) -> Result<Self, LabError> {
        let logs = report_dir.join("logs");
        std::fs::create_dir_all(&logs).map_err(LabError::io(format!("make {}", logs.display())))?;
        Ok(Self {
            guard: Guard::start(exe).await?,
            recorder,
            exe: exe.to_owned(),
            logs,
            clusters: Clusters::new(Places::of_this_machine()),
            ports: Ports::default(),
            databases: Mutex::default(),
            servers: Mutex::default(),
            services: Mutex::default(),
        })
    }

    /// The run's own directory for temporary files; it is gone after [`Lab::shutdown`].
    pub fn directory(&self) -> &Path {
        self.guard.directory()
    }

    /// The ports that faults hold, to which chaosproxy must not connect.
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Makes or attaches to a database, and runs its `setup` statements.
    ///
    /// Several may be started at once.
    pub async fn database(&self, spec: &DatabaseSpec) -> Result<Database, LabError> {
        let clock = self.recorder.clock();
        let begun = clock.now();
        let database = match &spec.origin {
            Origin::Managed => {
                let (database, server) = self.clusters.start(&self.guard, &spec.name).await?;
                lock(&self.servers).insert(Name::clone(&spec.name), Arc::new(server));
                database
            }
            Origin::Url(url) => Database::at(&spec.name, url)?,
        };
        database.set_up(&spec.setup).await?;
        let took = clock.now().since(begun).as_millis();
        self.recorder.record(Fact::Database {
            database: Name::clone(&spec.name),
            change: format!("ready after {took} ms"),
        });
        lock(&self.databases).insert(Name::clone(&spec.name), database.clone());
        Ok(database)
    }

    /// Starts or attaches to a service at `url`, in which port 0 is already replaced; `lookup`
    /// fills in the placeholders of its command and environment.
    ///
    /// It is not ready yet: see [`Lab::wait_ready`].
    pub async fn service(
        &self,
        spec: &ServiceSpec,
        url: &str,
        lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<(), LabError> {
        self.declare(spec, url, lookup)?;
        self.start_service(&spec.name).await
    }

    /// As [`Lab::service`], but its command is started only by [`Lab::start_service`].
    pub fn declare(
        &self,
        spec: &ServiceSpec,
        url: &str,
        lookup: impl FnMut(&str) -> Option<String>,
    ) -> Result<(), LabError> {
        let context = Context {
            recorder: &self.recorder,
            exe: &self.exe,
            logs: &self.logs,
            ports: &self.ports,
        };
        let service = Service::declare(context, spec, url, lookup)?;
        lock(&self.services).insert(Name::clone(&spec.name), Arc::new(service));
        Ok(())
    }

    /// Starts a service that was declared; does not wait until it is ready.
    pub async fn start_service(&self, service: &str) -> Result<(), LabError> {
        self.find_service(service)?.start(&self.guard).await
    }

    /// Waits until a service answers. One that ends before that is an error that quotes its log.
    pub async fn wait_ready(&self, service: &str) -> Result<(), LabError> {
        self.find_service(service)?.ready().await
    }

    /// The rows that a statement yields; see [`Database::query`].
    pub async fn query(
        &self,
        database: &str,
        sql: &str,
    ) -> Result<Vec<Vec<serde_json::Value>>, String> {
        let found = lock(&self.databases).get(database).cloned();
        let found = found.ok_or_else(|| {
            let (what, name) = ("database", database.to_owned());
            LabError::Unknown { what, name }.to_string()
        })?;
        found.query(sql).await
    }

    /// How often each key is found: `sql` yields rows of a text and a count.
    pub async fn ledger_rows(
        &self,
        database: &str,
        sql: &str,
    ) -> Result<BTreeMap<String, u64>, String> {
        let mut keys = BTreeMap::new();
        for row in self.query(database, sql).await? {
            let [serde_json::Value::String(key), count] = row.as_slice() else {
                return Err("the readback must yield rows of a text and a count".to_owned());
            };
            let count = count
                .as_u64()
                .ok_or_else(|| format!("the count of key `{key}` is {count}"))?;
            *keys.entry(key.clone()).or_default() += count;
        }
        Ok(keys)
    }

    /// Waits until the guard process is gone; before [`Lab::shutdown`] that means that everything
    /// it started is gone too. Cancel safe.
    pub fn guard_ended(&self) -> impl Future<Output = ()> + use<> {
        self.guard.ended()
    }

    /// Stops every service, then lets the guard clear away the rest, and makes sure that nothing
    /// is left.
    pub async fn shutdown(&self) -> Result<(), LabError> {
        let services = std::mem::take(&mut *lock(&self.services));
        lock(&self.servers).clear();
        let stopped = join_all(services.values().map(|service| service.stop())).await;
        self.guard.finish().await?;
        stopped.into_iter().collect()
    }

    fn find_service(&self, name: &str) -> Result<Arc<Service>, LabError> {
        let found = lock(&self.services).get(name).map(Arc::clone);
        found.ok_or_else(|| LabError::Unknown {
            what: "service",
            name: name.to_owned(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
