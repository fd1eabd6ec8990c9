//! A PostgreSQL cluster that the tests of this area share: it lives as long as one of them runs, and
//! no longer than this process.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak, mpsc};
use std::thread::{self, JoinHandle};

use chaosproxy::event::bus;
use chaosproxy::lab::Lab;
use chaosproxy::lab::spec::{DatabaseSpec, Origin};
use chaosproxy::units::Clock;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_postgres::{Client, NoTls};

use crate::support::exe;

pub(crate) struct Cluster {
    pub(crate) port: u16,
    databases: AtomicU32,
    /// Dropping the first ends the second, the thread of the lab that the cluster belongs to: each
    /// test has a runtime of its own, and may end before the others.
    lab: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Cluster {
    /// The cluster that is running, or else a new one.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// A new, empty database: its name.
    pub(crate) async fn database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let sql = format!("CREATE DATABASE {name}");
        self.client("postgres")
            .await
            .batch_execute(&sql)
            .await
            .unwrap();
        name
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://chaos@127.0.0.1:{}/{database}", self.port)
    }

    pub(crate) async fn client(&self, database: &str) -> Client {
        let url = self.url(database);
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }

    fn start() -> Self {
        let (tell, told) = mpsc::channel();
        let (needed, unneeded) = oneshot::channel();
        let lab = thread::spawn(|| Runtime::new().unwrap().block_on(keep(tell, unneeded)));
        Self {
            port: told.recv().expect("the cluster starts"),
            databases: AtomicU32::new(0),
            lab: Some((needed, lab)),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some((needed, lab)) = self.lab.take() {
            drop(needed);
            lab.join().unwrap();
        }
    }
}

/// Tells the port of a new cluster, and keeps it until it is not needed any more.
async fn keep(tell: mpsc::Sender<u16>, unneeded: oneshot::Receiver<()>) {
    let report = tempfile::tempdir().unwrap();
    let (recorder, _facts) = bus(Clock::start());
    let lab = Lab::start(exe(), recorder, report.path()).await.unwrap();
    let spec = DatabaseSpec {
        name: "shared".into(),
        origin: Origin::Managed,
        setup: Vec::new(),
    };
    let address: std::net::SocketAddr = lab.database(&spec).await.unwrap().address.parse().unwrap();
    tell.send(address.port()).unwrap();
    // Nobody says so; it is dropped.
    unneeded.await.ok();
    lab.shutdown().await.unwrap();
}
