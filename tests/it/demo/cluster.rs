//! A PostgreSQL cluster that the tests of this area share: it lives as long as one of them runs.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use nix::unistd::{Uid, User};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// Where Debian puts the programs; elsewhere they are in the path.
const PLACES: [&str; 4] = [
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
    "/usr/lib/postgresql/14/bin",
];

pub(super) struct Cluster {
    directory: TempDir,
    pub(super) port: u16,
    databases: AtomicU32,
}

impl Cluster {
    /// The cluster that is running, or else a new one.
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start());
            *shared = Arc::downgrade(&cluster);
            cluster
        })
    }

    /// A new, empty database: its name.
    pub(super) async fn database(&self) -> String {
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

    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://chaos@127.0.0.1:{}/{database}", self.port)
    }

    pub(super) async fn client(&self, database: &str) -> Client {
        let url = self.url(database);
        let (client, driver) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        tokio::spawn(driver);
        client
    }

    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        if Uid::effective().is_root() {
            let user = unprivileged();
            let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
            chown(directory.path(), Some(uid), Some(gid)).unwrap();
        }
        let port = super::free_port();
        let data = directory.path().join("data");
        let mut initdb = program("initdb");
        initdb
            .args(["-A", "trust", "-U", "chaos", "--no-sync", "-D"])
            .arg(&data);
        succeed(initdb);
        let options = format!(
            "-p {port} -h 127.0.0.1 -c fsync=off -c unix_socket_directories={}",
            directory.path().display()
        );
        let mut start = pg_ctl(&data, "start");
        start.args(["-l", "/dev/null", "-o", &options]);
        succeed(start);
        Self {
            directory,
            port,
            databases: AtomicU32::new(0),
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let mut stop = pg_ctl(&self.directory.path().join("data"), "stop");
        stop.args(["-m", "immediate"]);
        succeed(stop);
    }
}

fn pg_ctl(data: &Path, what: &str) -> Command {
    let mut command = program("pg_ctl");
    command.args(["-w", what, "-D"]).arg(data);
    command
}

/// A program of PostgreSQL, as somebody other than root.
fn program(name: &str) -> Command {
    let found = PLACES.iter().map(|place| Path::new(place).join(name));
    let path = found.into_iter().find(|path| path.exists());
    let mut command = Command::new(path.unwrap_or_else(|| PathBuf::from(name)));
    command.current_dir("/").stdout(Stdio::null());
    if Uid::effective().is_root() {
        let user = unprivileged();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

fn unprivileged() -> User {
    let named = |name| User::from_name(name).unwrap();
    named("postgres").or_else(|| named("nobody")).unwrap()
}

fn succeed(mut command: Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
